import { describe, expect, test } from "vitest";
import { describeModel } from "../../src/config/describe.ts";
import type { ConformerSpec } from "../../src/config/spec.ts";
import { type ConformerOptions, conformer, melFrontEnd } from "./synthetic.ts";
import { ctcModel } from "./synthetic-models.ts";

const MISSING = Symbol("the key is left out");

/** Describes a small model, with keys of its encoder changed or left out. */
function encoderOf(options: ConformerOptions, changes: Record<string, unknown> = {}): ConformerSpec {
  const { config, tensors } = ctcModel(conformer(options), melFrontEnd(options.mels ?? 80));
  const encoder = Object.entries({ ...(config.encoder as object), ...changes }).filter(
    ([, value]) => value !== MISSING,
  );
  return describeModel({ ...config, encoder: Object.fromEntries(encoder) }, tensors).encoder as ConformerSpec;
}

describe("describeConformer", () => {
  test("has NeMo's defaults for every key that is missing", () => {
    const { config, tensors } = ctcModel(conformer({ heads: 4, kernel: 31 }));
    const encoder = { _target_: "nemo.x.ConformerEncoder", feat_in: 80, n_layers: 2, d_model: 8 };
    expect(describeModel({ ...config, encoder }, tensors).encoder).toEqual({
      kind: "conformer",
      ...{ numMels: 80, modelSize: 8, numLayers: 2, numHeads: 4, feedForwardSize: 32, outSize: undefined },
      subsampling: { kind: "striding", factor: 4, convChannels: 8, isCausal: false, isMasked: true },
      attention: {
        kind: "rel_pos",
        contexts: [{ left: -1, right: -1 }],
        style: "regular",
        chunkContexts: [],
        ...{ globalTokens: 0, globalTokensSpacing: 1, globalAttnSeparate: false, untieBiases: true },
      },
      xscaling: true,
      convKernel: 31,
      convContext: { left: 15, right: 15 },
      convNorm: { kind: "batch_norm" },
      reduction: undefined,
    });
  });

  test("believes the tensors where the configuration says otherwise", () => {
    const lies = { n_layers: 9, d_model: 64, n_heads: 8, conv_kernel_size: 5, ff_expansion_factor: 1, use_bias: false };
    const more = { subsampling_factor: 2, subsampling_conv_channels: 99, causal_downsampling: true, feat_out: 4 };
    expect(encoderOf({}, { ...lies, ...more })).toEqual(encoderOf({}));
    expect(encoderOf({ hasBias: false }, { use_bias: MISSING })).toEqual(encoderOf({}));
  });

  test.each<[string, ConformerOptions, object]>([
    ["two strides", { factor: 2 }, { kind: "striding", factor: 2 }],
    ["depthwise convolutions", { subsampling: "dw_striding", factor: 8 }, { kind: "dw_striding", factor: 8 }],
    ["one depthwise stage", { subsampling: "dw_striding", factor: 2 }, { kind: "dw_striding", factor: 2 }],
    ["causal convolutions", { factor: 8, isCausal: true }, { factor: 8, isCausal: true }],
    ["causal convolutions that show in no size", { mels: 65, factor: 2, isCausal: true }, { isCausal: true }],
    ["stacking", { subsampling: "stacking", factor: 3 }, { kind: "stacking", factor: 3 }],
    ["stacking with a norm", { subsampling: "stacking_norm" }, { kind: "stacking_norm", factor: 4 }],
    ["feature stacking", { subsampling: "feature_stacking" }, { kind: "feature_stacking", factor: 4 }],
    ["a linear layer", { subsampling: null, factor: 1 }, { kind: "linear", factor: 1 }],
    ["a factor of 1", { factor: 1 }, { kind: "linear", factor: 1 }],
  ])("describes subsampling by %s", (_, options, expected) => {
    expect(encoderOf(options).subsampling).toMatchObject(expected);
  });

  test("goes without masks where NeMo splits depthwise convolutions by channel", () => {
    const isMasked = (options: ConformerOptions, factor: number) =>
      encoderOf(options, { subsampling_conv_chunking_factor: factor }).subsampling.isMasked;
    const depthwise = { subsampling: "dw_striding" };
    expect([-1, 1, 2].map((factor) => isMasked(depthwise, factor))).toEqual([true, true, false]);
    expect(isMasked({ subsampling: "stacking" }, 2)).toBe(true);
    expect(isMasked({}, 2)).toBe(true);
  });

  test.each<[string, object]>([
    ["batch_norm", { kind: "batch_norm" }],
    ["layer_norm", { kind: "layer_norm" }],
    ["instance_norm", { kind: "instance_norm" }],
    ["fused_batch_norm", { kind: "fused_batch_norm" }],
    ["group_norm4", { kind: "group_norm", numGroups: 4 }],
  ])("describes %s", (norm, expected) => {
    expect(encoderOf({ norm }).convNorm).toEqual(expected);
  });

  test("takes a norm without running statistics for a layer norm", () => {
    expect(encoderOf({ norm: "layer_norm" }, { conv_norm_type: "batch_norm" }).convNorm).toEqual({
      kind: "layer_norm",
    });
    expect(encoderOf({}, { conv_norm_type: "layer_norm" }).convNorm).toEqual({ kind: "batch_norm" });
  });

  test("reads contexts of convolutions and attention", () => {
    expect(encoderOf({}, { conv_context_size: "causal" }).convContext).toEqual({ left: 8, right: 0 });
    expect(encoderOf({}, { conv_context_size: [6, 2] }).convContext).toEqual({ left: 6, right: 2 });
    expect(encoderOf({}, { conv_context_size: null }).convContext).toEqual({ left: 4, right: 4 });
    expect(encoderOf({}, { att_context_size: [20, 0] }).attention.contexts).toEqual([{ left: 20, right: 0 }]);
    const list = {
      att_context_style: "chunked_limited",
      att_context_size: [
        [70, 13],
        [70, 6],
        [-1, 2],
      ],
    };
    expect(encoderOf({}, list).attention).toMatchObject({
      style: "chunked_limited",
      contexts: [
        { left: 70, right: 13 },
        { left: 70, right: 6 },
        { left: -1, right: 2 },
      ],
    });
  });

  test("lists the triples of a unified model and starts it with full attention", () => {
    const style = { att_context_style: "chunked_limited_with_rc", att_context_size: [[-1, -1, -1]] };
    const { attention } = encoderOf({}, { ...style, att_chunk_context_size: [[70], [1, 2], [0, 3]] });
    expect(attention.contexts).toEqual([{ left: -1, right: -1 }]);
    const listed = {
      ...style,
      att_context_size: [
        [16, 4, 2],
        [8, 2, 2],
        [1, 1],
      ],
    };
    expect(encoderOf({}, listed).attention).toMatchObject({
      ...{ contexts: [{ left: -1, right: -1 }], chunkContexts: [listed.att_context_size[0], [8, 2, 2]] },
    });
    // NeMo takes -1 beside a chunk for one step less than none.
    const narrower = encoderOf({}, { ...style, att_chunk_context_size: [[-1, 70], [2], [-1, 3]] }).attention;
    expect(narrower.chunkContexts).toEqual([[70, 2, 3]]);
    expect(attention.chunkContexts).toEqual([
      [70, 1, 0],
      [70, 1, 3],
      [70, 2, 0],
      [70, 2, 3],
    ]);
  });

  test("describes local attention, absolute positions, a projection and a time reduction", () => {
    const local = { att_context_size: [8, 4], global_tokens: 2, global_tokens_spacing: 3 };
    expect(encoderOf({ attention: "rel_pos_local_attn" }, local).attention).toMatchObject({
      ...{ kind: "rel_pos_local_attn", contexts: [{ left: 8, right: 4 }], globalTokens: 2, globalTokensSpacing: 3 },
    });
    expect(encoderOf({ attention: "abs_pos", heads: 4 }, {})).toMatchObject({
      numHeads: 4,
      attention: { kind: "abs_pos" },
    });
    expect(encoderOf({ outSize: 6 }).outSize).toBe(6);
    const pooling = { reduction: "pooling", reduction_position: 1, reduction_factor: 2 };
    expect(encoderOf({}, pooling).reduction).toEqual({ kind: "pooling", position: 1, factor: 2 });
    expect(encoderOf({}, { ...pooling, reduction_factor: 1 }).reduction).toBeUndefined();
  });

  const yaml = "model_config.yaml: `encoder.";
  test.each<[string, ConformerOptions, Record<string, unknown>, string, string]>([
    [
      "rope",
      {},
      { self_attention_model: "rope" },
      "MODEL_UNSUPPORTED",
      `${yaml}self_attention_model\` is "rope", supported is one of "rel_pos", "rel_pos_local_attn", "abs_pos".`,
    ],
    [
      "vggnet",
      {},
      { subsampling: "vggnet" },
      "MODEL_UNSUPPORTED",
      `${yaml}subsampling\` is "vggnet", supported is one of "striding", "dw_striding", "stacking", "stacking_norm", "feature_stacking".`,
    ],
    [
      "convolutions over time alone",
      {},
      { subsampling: "striding_conv1d" },
      "MODEL_UNSUPPORTED",
      `${yaml}subsampling\` is "striding_conv1d"`,
    ],
    [
      "another norm",
      { norm: "layer_norm" },
      { conv_norm_type: "rms_norm" },
      "MODEL_UNSUPPORTED",
      `${yaml}conv_norm_type\` is "rms_norm"`,
    ],
    [
      "groups that do not divide",
      { norm: "layer_norm" },
      { conv_norm_type: "group_norm3" },
      "MODEL_INVALID",
      `${yaml}conv_norm_type\`: expected a number of groups that divides 8, got "group_norm3".`,
    ],
    [
      "a convolution context that does not fit",
      {},
      { conv_context_size: [9, 9] },
      "MODEL_INVALID",
      `${yaml}conv_context_size\`: expected "causal" or two integers with a sum of 8, got [9,9].`,
    ],
    ["an even kernel", { kernel: 8 }, {}, "MODEL_INVALID", `${yaml}conv_kernel_size\` is 8, expected an odd number.`],
    [
      "a left context that is no multiple",
      {},
      { att_context_style: "chunked_limited", att_context_size: [70, 3] },
      "MODEL_INVALID",
      `${yaml}att_context_size\`: expected left contexts that are multiples of the chunk (right + 1), got [70,3].`,
    ],
    [
      "chunks without end",
      {},
      { att_context_style: "chunked_limited", att_context_size: [70, -1] },
      "MODEL_INVALID",
      `${yaml}att_context_size\`: expected a limited right context, got [70,-1].`,
    ],
    [
      "contexts that are no pairs",
      {},
      { att_context_size: [[1, 2, 3]] },
      "MODEL_INVALID",
      `${yaml}att_context_size\`: expected pairs of integers of at least -1, got [[1,2,3]].`,
    ],
    [
      "too many contexts",
      {},
      { att_context_size: Array(1001).fill([1, 1]) },
      "LIMIT_EXCEEDED",
      "model_config.yaml: expected at most 1000 attention contexts, got 1001. No known model has more than twenty.",
    ],
    [
      "local attention without a window",
      { attention: "rel_pos_local_attn" },
      {},
      "MODEL_INVALID",
      `${yaml}att_context_size\`: expected a limited window for local attention, got nothing.`,
    ],
    [
      "a reduction at no layer",
      {},
      { reduction: "pooling", reduction_position: 2, reduction_factor: 2 },
      "MODEL_INVALID",
      `${yaml}reduction_position\`: expected a layer below 2 or -1, got 2.`,
    ],
    [
      "features that leave other rows",
      {},
      { feat_in: 100 },
      "MODEL_INVALID",
      "model_config.yaml: `preprocessor.features` is 80, but `encoder.feat_in` is 100.",
    ],
    [
      "a size that is no number",
      { attention: "abs_pos" },
      { n_heads: "many" },
      "MODEL_INVALID",
      `${yaml}n_heads\`: expected an integer of at least 1, got "many".`,
    ],
    [
      "heads that do not divide",
      { attention: "abs_pos" },
      { n_heads: 3 },
      "MODEL_INVALID",
      `${yaml}n_heads\` is 3, which does not divide \`encoder.d_model\` 8.`,
    ],
  ])("refuses %s", (_, options, changes, code, text) => {
    expect(() => encoderOf(options, changes)).toThrow(expect.objectContaining({ code }));
    expect(() => encoderOf(options, changes)).toThrow(text);
  });

  test("names the rows of frequency where a filterbank and pre_encode contradict each other", () => {
    const { config, tensors } = ctcModel(conformer(), { config: melFrontEnd().config, shapes: melFrontEnd(64).shapes });
    expect(() => describeModel(config, tensors)).toThrow(
      "model_config.yaml: `encoder.feat_in` is 64, which leaves 16 rows of frequency, but `encoder.pre_encode.out.weight` takes 20.",
    );
  });
});
