import {
  type ConfigBlock,
  childBlock,
  invalid,
  modelError,
  pathOf,
  rawValue,
  requiredBlock,
  targetOf,
  textOr,
  textsOf,
  unsupportedValue,
} from "./block.ts";
import { refusePhonemes } from "./refusals.ts";
import type { TokenizerSpec } from "./spec.ts";

/** The special tokens of `BertTokenizer`, by the option of `tokenizer.hf_kwargs` that renames each. */
const WORDPIECE_SPECIALS = {
  unk_token: "[UNK]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  cls_token: "[CLS]",
  mask_token: "[MASK]",
} as const;

/** Where saved configurations keep the vocabulary, in order of ids. */
const VOCABULARIES = [
  ["joint", "vocabulary"],
  ["decoder", "vocabulary"],
  ["aux_ctc", "decoder", "vocabulary"],
  ["labels"],
] as const;

/** NeMo has had a handful of languages in one model; a hostile list must not open thousands of files. */
const MAX_LANGUAGES = 200;

/** Every vocabulary of the configuration that is not empty. */
export function listVocabularies(root: ConfigBlock): string[][] {
  const lists: string[][] = [];
  for (const path of VOCABULARIES) {
    let owner: ConfigBlock | undefined = root;
    for (const key of path.slice(0, -1)) owner = owner && childBlock(owner, key);
    const list = owner && textsOf(owner, path[path.length - 1]);
    if (list && list.length > 0) lists.push(list);
  }
  return lists;
}

/**
 * Describes how a model's ids become text: by its labels, or by the tokenizer that its archive carries (mixins.py).
 * @param size the number of ids that the heads have, without blank
 * @throws SpeechError `MODEL_INVALID` where nothing fits the heads
 */
export function describeTokenizer(root: ConfigBlock, size: number, isSubword: boolean): TokenizerSpec {
  const lists = listVocabularies(root);
  const vocabulary = lists.find((list) => list.length === size) ?? [];
  if (!isSubword) {
    if (vocabulary.length === 0) {
      throw invalid(
        `\`labels\` has ${lists[0]?.length ?? 0} entries, but the heads have ${size} classes besides blank.`,
      );
    }
    refusePhonemes(vocabulary);
    return { kind: "characters", labels: vocabulary, size };
  }
  return { ...describeSubwords(requiredBlock(root, "tokenizer"), vocabulary), size };
}

function describeSubwords(block: ConfigBlock, vocabulary: readonly string[]): TokenizerSpec {
  const type = textOr(block, "type", undefined)?.toLowerCase();
  const custom = childBlock(block, "custom_tokenizer");
  if (custom) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`${pathOf(block, "custom_tokenizer")}\` is a ${targetOf(custom)}, supported are NeMo's own tokenizers.`,
    );
  }
  switch (type) {
    case "bpe":
      return { kind: "sentencepiece", artifact: artifactOf(block, "model_path", "tokenizer.model"), vocabulary };
    case "wpe":
      return {
        kind: "wordpiece",
        artifact: artifactOf(block, "vocab_path", "vocab.txt"),
        specialTokens: specialTokens(block),
      };
    case "agg":
    case "multilingual":
      return describeAggregate(block);
    default:
      throw unsupportedValue(block, "type", '"bpe", "wpe" or "agg"');
  }
}

/** Without a path NeMo looks in the tokenizer's folder; archives are searched by the file's name in the end. */
function artifactOf(block: ConfigBlock, key: string, name: string): string {
  const folder = textOr(block, "dir", undefined);
  return textOr(block, key, undefined) ?? (folder ? `${folder}/${name}` : name);
}

function specialTokens(block: ConfigBlock): string[] {
  const renamed = childBlock(block, "hf_kwargs");
  const specials = Object.entries(WORDPIECE_SPECIALS).map(([key, token]) => {
    return (renamed && textOr(renamed, key, undefined)) ?? token;
  });
  for (const key of ["bos_token", "eos_token"]) {
    const token = renamed && textOr(renamed, key, undefined);
    if (token !== undefined && !specials.includes(token)) specials.push(token);
  }
  return specials;
}

/** One tokenizer a language; their ids follow one another in the order of the configuration. */
function describeAggregate(block: ConfigBlock): TokenizerSpec {
  const langs = requiredBlock(block, "langs");
  const names = Object.keys(langs.values);
  if (names.length === 0) throw invalid(`\`${langs.path}\` names no language.`);
  if (names.length > MAX_LANGUAGES) {
    throw modelError(
      "LIMIT_EXCEEDED",
      `model_config.yaml: expected at most ${MAX_LANGUAGES} languages in \`${langs.path}\`, got ${names.length}.`,
    );
  }
  const parts = names.map((lang) => {
    const part = requiredBlock(langs, lang);
    if (!["bpe", "wpe"].includes(String(rawValue(part, "type")).toLowerCase())) {
      throw unsupportedValue(part, "type", '"bpe" or "wpe"');
    }
    return { lang, tokenizer: describeSubwords(part, []) };
  });
  return { kind: "aggregate", parts };
}
