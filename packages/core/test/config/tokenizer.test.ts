import { describe, expect, test } from "vitest";
import { describeModel } from "../../src/config/describe.ts";
import type { TokenizerSpec } from "../../src/config/spec.ts";
import { conformer } from "./synthetic.ts";
import { charModel, ctcModel, LETTERS, PIECES } from "./synthetic-models.ts";

function tokenizerOf(tokenizer: unknown, artifactNames?: string[], decoder: object = {}): TokenizerSpec | undefined {
  const { config, tensors } = ctcModel(conformer());
  const head = { ...(config.decoder as object), ...decoder };
  return describeModel({ ...config, tokenizer, decoder: head }, tensors, artifactNames).tokenizer;
}

const characters = (config: object) => {
  const { config: base, tensors } = charModel(conformer());
  return describeModel({ ...base, ...config }, tensors).tokenizer;
};

describe("describeTokenizer", () => {
  test("names the file of every kind, with NeMo's places where no path is given", () => {
    const bpe = { kind: "sentencepiece", vocabulary: PIECES, size: 6 };
    expect(tokenizerOf({ type: "bpe", model_path: "nemo:1_t.model" })).toEqual({ ...bpe, artifact: "nemo:1_t.model" });
    expect(tokenizerOf({ type: "BPE", dir: "/data/tok" })).toEqual({ ...bpe, artifact: "/data/tok/tokenizer.model" });
    expect(tokenizerOf({ type: "wpe", vocab_path: "nemo:1_vocab.txt" })).toEqual({
      ...{ kind: "wordpiece", artifact: "nemo:1_vocab.txt", size: 6 },
      specialTokens: ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
    });
  });

  test("reads renamed special tokens", () => {
    const hf_kwargs = { unk_token: "<unk>", bos_token: "<s>", eos_token: null };
    expect(tokenizerOf({ type: "wpe", dir: "/x", hf_kwargs })).toMatchObject({
      ...{ artifact: "/x/vocab.txt", specialTokens: ["<unk>", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "<s>"] },
    });
  });

  test("describes aggregates in the order of the configuration", () => {
    const langs = { es: { type: "bpe", model_path: "nemo:2" }, en: { type: "wpe", vocab_path: "nemo:1" } };
    expect(tokenizerOf({ type: "agg", langs })).toMatchObject({
      kind: "aggregate",
      size: 6,
      parts: [
        { lang: "es", tokenizer: { kind: "sentencepiece", artifact: "nemo:2", vocabulary: [] } },
        { lang: "en", tokenizer: { kind: "wordpiece", artifact: "nemo:1" } },
      ],
    });
    expect(tokenizerOf({ type: "multilingual", langs })?.kind).toBe("aggregate");
  });

  test("takes the vocabulary that fits the heads", () => {
    expect(characters({ labels: ["x"] })).toEqual({ kind: "characters", labels: LETTERS, size: 28 });
    const short = tokenizerOf({ type: "bpe", dir: null }, undefined, { vocabulary: ["a"] });
    expect(short).toEqual({ kind: "sentencepiece", artifact: "tokenizer.model", vocabulary: [], size: 6 });
  });

  test("looks for the file among the archive's members", () => {
    const bpe = { type: "bpe", model_path: "nemo:1_t.model" };
    expect(tokenizerOf(bpe, ["vocab.txt"])?.kind).toBe("sentencepiece");
    expect(tokenizerOf(bpe, ["1_t.model"], { vocabulary: [] })?.kind).toBe("sentencepiece");
    expect(() => tokenizerOf(bpe, ["vocab.txt"], { vocabulary: [] })).toThrow(
      "model_config.yaml: the tokenizer's file `nemo:1_t.model` is not in the archive, which has vocab.txt.",
    );
    expect(() => tokenizerOf({ type: "wpe", vocab_path: "v.txt" }, [])).toThrow("which has no other files.");
  });

  test.each<[string, unknown, string, string]>([
    ["no tokenizer", null, "MODEL_INVALID", "model_config.yaml: `tokenizer` is missing."],
    [
      "another kind",
      { type: "yttm" },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `tokenizer.type` is "yttm", supported is "bpe", "wpe" or "agg".',
    ],
    [
      "a custom tokenizer",
      { type: "bpe", custom_tokenizer: { _target_: "x.CanaryTokenizer" } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `tokenizer.custom_tokenizer` is a CanaryTokenizer, supported are NeMo's own tokenizers.",
    ],
    [
      "an aggregate of nothing",
      { type: "agg", langs: {} },
      "MODEL_INVALID",
      "model_config.yaml: `tokenizer.langs` names no language.",
    ],
    [
      "nested aggregates",
      { type: "agg", langs: { en: { type: "agg", langs: {} } } },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `tokenizer.langs.en.type` is "agg", supported is "bpe" or "wpe".',
    ],
    [
      "too many languages",
      { type: "agg", langs: Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`l${i}`, {}])) },
      "LIMIT_EXCEEDED",
      "model_config.yaml: expected at most 200 languages in `tokenizer.langs`, got 201.",
    ],
  ])("refuses %s", (_, tokenizer, code, message) => {
    expect(() => tokenizerOf(tokenizer)).toThrow(expect.objectContaining({ code, message }));
  });

  test("refuses labels that do not fit the heads", () => {
    expect(() => characters({ labels: ["a"], decoder: { _target_: "x.ConvASRDecoder" } })).toThrow(
      "model_config.yaml: `labels` has 1 entries, but the heads have 28 classes besides blank.",
    );
  });
});
