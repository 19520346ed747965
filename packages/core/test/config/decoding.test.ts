import { describe, expect, test } from "vitest";
import { rootBlock } from "../../src/config/block.ts";
import { describeDecoding } from "../../src/config/decoding.ts";

const decodingOf = (decoding: unknown, rest: object = {}) => describeDecoding(rootBlock({ decoding, ...rest }));

describe("describeDecoding", () => {
  test("has NeMo's defaults where nothing is said", () => {
    const expected = {
      strategy: "greedy_batch",
      confidence: {
        ...{ excludeBlank: true, aggregation: "min", tdtIncludeDuration: false },
        ...{ method: "entropy", entropyType: "tsallis", alpha: 0.33, entropyNorm: "exp" },
      },
      ...{ wordSeparator: " ", segmentSeparators: [".", "?", "!"], segmentGapThresholdSteps: undefined },
      ...{ stripLangTags: false, langTagPattern: undefined, eouString: "<EOU>", eobString: "<EOB>" },
    };
    expect(decodingOf(undefined)).toEqual(expected);
    expect(decodingOf({ greedy: {} })).toEqual(expected);
  });

  test("reads separators, tags and marks of turns", () => {
    const decoding = {
      ...{ strategy: "maes", word_seperator: "|", segment_seperators: [";"], segment_gap_threshold: 40 },
      ...{ strip_lang_tags: true, lang_tag_pattern: "\\s*<[a-z]{2}>" },
    };
    expect(
      decodingOf(decoding, { train_ds: { eou_string: "<|end|>" }, validation_ds: { eob_string: "<|back|>" } }),
    ).toMatchObject({
      ...{ strategy: "maes", wordSeparator: "|", segmentSeparators: [";"], segmentGapThresholdSteps: 40 },
      ...{ stripLangTags: true, langTagPattern: "\\s*<[a-z]{2}>", eouString: "<|end|>", eobString: "<|back|>" },
    });
  });

  test("reads confidence from the newer block where it is on, else from the older one", () => {
    const own = { name: "max_prob", alpha: 0.5 };
    const older = { name: "entropy", entropy_type: "gibbs", alpha: 0.25, entropy_norm: "lin" };
    const cfg = { exclude_blank: false, aggregation: "prod", tdt_include_duration: true, method_cfg: own };
    const on = {
      confidence_cfg: { ...cfg, preserve_token_confidence: true },
      greedy: { confidence_method_cfg: older },
    };
    expect(decodingOf(on).confidence).toEqual({
      ...{ excludeBlank: false, aggregation: "prod", tdtIncludeDuration: true },
      ...{ method: "max_prob", entropyType: "tsallis", alpha: 0.5, entropyNorm: "exp" },
    });
    const off = { ...on, confidence_cfg: cfg };
    expect(decodingOf(off).confidence).toMatchObject({
      method: "entropy",
      entropyType: "gibbs",
      alpha: 0.25,
      entropyNorm: "lin",
    });
    expect(decodingOf({ confidence_cfg: cfg }).confidence).toMatchObject({ method: "max_prob", alpha: 0.5 });
    const former = { method_cfg: { alpha: 0.5, temperature: 0.75 } };
    expect(decodingOf({ confidence_cfg: former }).confidence.alpha).toBe(0.75);
    expect(decodingOf({ confidence_cfg: { method_cfg: { temperature: "DEPRECATED" } } }).confidence.alpha).toBe(0.33);
  });

  test("lives with what older versions of NeMo wrote", () => {
    const older = { measure_cfg: "DEPRECATED", method_cfg: { name: "entropy", entropy_type: "renui" } };
    expect(decodingOf({ confidence_cfg: older }).confidence.entropyType).toBe("renyi");
    const measure = { measure_cfg: { entropy_norm: "lin" } };
    expect(decodingOf({ confidence_cfg: measure }).confidence.entropyNorm).toBe("lin");
  });

  test("passes over fusion that is switched off", () => {
    const idle = {
      ngram_lm_model: null,
      boosting_tree: { key_phrases_list: null, model_path: null },
      boosting_tree_alpha: 1,
    };
    expect(decodingOf({ greedy: idle })).toEqual(decodingOf(undefined));
    expect(decodingOf({ greedy: { ngram_lm_model: "lm.nemo", ngram_lm_alpha: 0 } })).toEqual(decodingOf(undefined));
  });

  const decoding = "model_config.yaml: `decoding.";
  test.each<[string, object, string, string]>([
    [
      "a language model",
      { greedy: { ngram_lm_model: "lm.nemo", ngram_lm_alpha: 0.3 } },
      "MODEL_UNSUPPORTED",
      `${decoding}greedy.ngram_lm_model\` is "lm.nemo": this model's greedy decoding is mixed with another model, which is not supported.`,
    ],
    [
      "a boosting tree",
      { greedy: { boosting_tree: { key_phrases_list: ["a"] }, boosting_tree_alpha: 1 } },
      "MODEL_UNSUPPORTED",
      `${decoding}greedy.boosting_tree\` is {"key_phrases_list":["a"]}`,
    ],
    [
      "another aggregation",
      { confidence_cfg: { aggregation: "median" } },
      "MODEL_UNSUPPORTED",
      `${decoding}confidence_cfg.aggregation\` is "median", supported is one of "mean", "min", "max", "prod".`,
    ],
    [
      "a method that NeMo does not know",
      { confidence_cfg: { method_cfg: { name: "softmax" } } },
      "MODEL_UNSUPPORTED",
      `${decoding}confidence_cfg.method_cfg.name\` is "softmax", supported is one of "max_prob", "entropy".`,
    ],
    [
      "another entropy",
      { greedy: { confidence_method_cfg: { entropy_type: "shannon" } } },
      "MODEL_UNSUPPORTED",
      `${decoding}greedy.confidence_method_cfg.entropy_type\` is "shannon", supported is one of "gibbs", "tsallis", "renyi"`,
    ],
    [
      "another norm",
      { confidence_cfg: { method_cfg: { entropy_norm: "log" } } },
      "MODEL_UNSUPPORTED",
      `${decoding}confidence_cfg.method_cfg.entropy_norm\` is "log", supported is one of "lin", "exp".`,
    ],
    [
      "a method that is a bare name",
      { confidence_cfg: { method_cfg: "max_prob" } },
      "MODEL_INVALID",
      `${decoding}confidence_cfg.method_cfg\`: expected a mapping, got "max_prob".`,
    ],
    [
      "an alpha of nothing",
      { confidence_cfg: { method_cfg: { alpha: 0 } } },
      "MODEL_INVALID",
      `${decoding}confidence_cfg.method_cfg.alpha\`: expected a positive number, got 0.`,
    ],
    [
      "a pattern that could run away",
      { lang_tag_pattern: "(a+)+b" },
      "MODEL_INVALID",
      `${decoding}lang_tag_pattern\`: expected a short regular expression without repeated groups, got "(a+)+b".`,
    ],
    [
      "a pattern with many repetitions",
      { lang_tag_pattern: "a*a*a*b" },
      "MODEL_INVALID",
      `${decoding}lang_tag_pattern\``,
    ],
    ["a pattern that is none", { lang_tag_pattern: "[a" }, "MODEL_INVALID", `${decoding}lang_tag_pattern\``],
    ["a block that is no mapping", { greedy: 3 }, "MODEL_INVALID", `${decoding}greedy\`: expected a mapping, got 3.`],
  ])("refuses %s", (_, values, code, text) => {
    expect(() => decodingOf(values)).toThrow(expect.objectContaining({ code }));
    expect(() => decodingOf(values)).toThrow(text);
  });
});
