import {
  type ConfigBlock,
  childBlock,
  choiceOr,
  flagOr,
  integerOr,
  modelError,
  numberOr,
  pathOf,
  rawValue,
  rootBlock,
  shown,
  textOr,
  textsOf,
  wrong,
} from "./block.ts";
import type { ConfidenceSpec, DecodingSpec } from "./spec.ts";

/** A user's expression runs on every transcript; one that is longer or nests repetitions could take forever. */
const MAX_PATTERN_LENGTH = 200;
const MAX_REPETITIONS = 2;

/**
 * Describes `decoding` (ctc_decoding.py, rnnt_decoding.py) as far as greedy decoding reads it. A model without the block
 * has NeMo's defaults.
 */
export function describeDecoding(root: ConfigBlock): DecodingSpec {
  const block = childBlock(root, "decoding") ?? rootBlock({});
  refuseFusion(block);
  return {
    strategy: textOr(block, "strategy", "greedy_batch") ?? "greedy_batch",
    confidence: describeConfidence(block),
    wordSeparator: textOr(block, "word_seperator", " ") ?? " ",
    segmentSeparators: textsOf(block, "segment_seperators") ?? [".", "?", "!"],
    segmentGapThresholdSteps: integerOr(block, "segment_gap_threshold", undefined),
    stripLangTags: flagOr(block, "strip_lang_tags", false),
    langTagPattern: describePattern(block),
    eouString: datasetText(root, "eou_string") ?? "<EOU>",
    eobString: datasetText(root, "eob_string") ?? "<EOB>",
  };
}

/**
 * The most tokens that greedy decoding may emit on one step: `greedy.max_symbols` or, where that is absent or null, its
 * older name `greedy.max_symbols_per_step`, whose default is 10; undefined (no limit) only where that one is null.
 * NeMo merges the block with `GreedyBatchedRNNTInferConfig` before it reads it (measured with 3.0.0).
 */
export function describeMaxSymbols(root: ConfigBlock): number | undefined {
  const decoding = childBlock(root, "decoding");
  const greedy = decoding && childBlock(decoding, "greedy");
  if (!greedy) return 10;
  const positive = (key: string) => {
    const value = integerOr(greedy, key, "absent" as const);
    return typeof value === "number" && value <= 0 ? undefined : value;
  };
  const own = positive("max_symbols");
  if (typeof own === "number") return own;
  const older = positive("max_symbols_per_step");
  return older === "absent" ? 10 : older;
}

/** `decoding.temperature`, which divides the logits of a CTC head. */
export function describeTemperature(owner: ConfigBlock): number {
  const decoding = childBlock(owner, "decoding");
  const temperature = (decoding && numberOr(decoding, "temperature", 1)) ?? 1;
  if (decoding && !(temperature > 0)) throw wrong(decoding, "temperature", "a positive number", temperature);
  return temperature;
}

/** The words that NeMo knows for the parts of a confidence method (`ConfidenceConfig`, `ConfidenceMethodConfig`). */
export const CONFIDENCE_WORDS = {
  aggregation: ["mean", "min", "max", "prod"],
  method: ["max_prob", "entropy"],
  entropyType: ["gibbs", "tsallis", "renyi"],
  entropyNorm: ["lin", "exp"],
} as const satisfies { readonly [Part in keyof ConfidenceSpec]?: readonly ConfidenceSpec[Part][] };

/**
 * NeMo `ConfidenceConfig` (asr_confidence_utils.py): an older block in `greedy` counts where the newer one is idle. Blocks
 * under names that NeMo has given up hold a text ("DEPRECATED") in some archives.
 */
function describeConfidence(decoding: ConfigBlock): ConfidenceSpec {
  const empty = rootBlock({});
  const block = mappingOf(decoding, "confidence_cfg") ?? empty;
  const greedy = mappingOf(decoding, "greedy") ?? empty;
  const isOn = ["frame", "token", "word"].some((what) => flagOr(block, `preserve_${what}_confidence`, false));
  const own = methodOf(block, "method_cfg") ?? methodOf(block, "measure_cfg");
  const older = methodOf(greedy, "confidence_method_cfg") ?? methodOf(greedy, "confidence_measure_cfg");
  const method = (isOn ? own : (older ?? own)) ?? empty;
  // Until 1.20 NeMo misspelled Rényi.
  const entropyType = choiceOr(method, "entropy_type", [...CONFIDENCE_WORDS.entropyType, "renui"] as const, "tsallis");
  return {
    excludeBlank: flagOr(block, "exclude_blank", true),
    aggregation: choiceOr(block, "aggregation", CONFIDENCE_WORDS.aggregation, "min"),
    tdtIncludeDuration:
      flagOr(block, "tdt_include_duration", false) || flagOr(greedy, "tdt_include_duration_confidence", false),
    method: choiceOr(method, "name", CONFIDENCE_WORDS.method, "entropy"),
    entropyType: entropyType === "renui" ? "renyi" : entropyType,
    alpha: describeAlpha(method),
    entropyNorm: choiceOr(method, "entropy_norm", CONFIDENCE_WORDS.entropyNorm, "exp"),
  };
}

/** The block of a method, which a bare name is not: NeMo refuses one, too. */
function methodOf(block: ConfigBlock, key: string): ConfigBlock | undefined {
  const value = rawValue(block, key);
  return value === undefined || value === null || value === "DEPRECATED" ? undefined : childBlock(block, key);
}

/** The former name of `alpha` is `temperature`, and it wins where it is a number. */
function describeAlpha(method: ConfigBlock): number {
  const former = rawValue(method, "temperature");
  const alpha = typeof former === "number" ? former : (numberOr(method, "alpha", 0.33) ?? 0.33);
  if (!(alpha > 0)) throw wrong(method, "alpha", "a positive number", alpha);
  return alpha;
}

/** Language models and boosting trees inside greedy decoding change the text that NeMo prints. */
function refuseFusion(decoding: ConfigBlock): void {
  const greedy = childBlock(decoding, "greedy");
  if (!greedy) return;
  const refuse = (key: string): never => {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`${pathOf(greedy, key)}\` is ${shown(rawValue(greedy, key))}: this model's greedy decoding is mixed with another model, which is not supported.`,
    );
  };
  if (rawValue(greedy, "ngram_lm_model") && numberOr(greedy, "ngram_lm_alpha", 0)) refuse("ngram_lm_model");
  const tree = childBlock(greedy, "boosting_tree");
  const phrases = ["model_path", "key_phrases_file", "key_phrases_list", "key_phrase_items_list"];
  const hasPhrases = tree && phrases.some((key) => rawValue(tree, key) && String(rawValue(tree, key)) !== "");
  if (hasPhrases && numberOr(greedy, "boosting_tree_alpha", 0)) refuse("boosting_tree");
}

/** Marks of turn ends are options of NeMo's data sets (audio_to_eou_label_lhotse.py). */
function datasetText(root: ConfigBlock, key: string): string | undefined {
  for (const name of ["train_ds", "validation_ds", "test_ds"]) {
    const block = mappingOf(root, name);
    const text = block && textOr(block, key, undefined);
    if (text) return text;
  }
  return undefined;
}

/** A block, where the key holds one; anything else counts as absent. */
function mappingOf(block: ConfigBlock, key: string): ConfigBlock | undefined {
  const value = rawValue(block, key);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? childBlock(block, key) : undefined;
}

/** A pattern of the checkpoint is only taken where it cannot run away. */
function describePattern(block: ConfigBlock): string | undefined {
  const pattern = textOr(block, "lang_tag_pattern", undefined);
  if (pattern === undefined) return undefined;
  const repetitions = pattern.match(/[*+]|\{\d+,\}/g) ?? [];
  const isSimple =
    pattern.length <= MAX_PATTERN_LENGTH &&
    repetitions.length <= MAX_REPETITIONS &&
    !/\)[*+?{]|\\\d|\(\?/.test(pattern);
  if (!isSimple || !isExpression(pattern)) {
    throw wrong(block, "lang_tag_pattern", "a short regular expression without repeated groups", pattern);
  }
  return pattern;
}

function isExpression(pattern: string): boolean {
  try {
    new RegExp(pattern, "u");
    return true;
  } catch {
    return false;
  }
}
