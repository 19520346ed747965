import { describe, expect, test } from "vitest";
import { describeModel } from "../../src/config/describe.ts";
import type { ConvAsrSpec } from "../../src/config/spec.ts";
import { type Block, convAsr } from "./synthetic.ts";
import { ctcModel } from "./synthetic-models.ts";

const encoderOf = (blocks: readonly Block[], rest: Record<string, unknown> = {}): ConvAsrSpec => {
  const { config, tensors } = ctcModel(convAsr(blocks, 80, rest));
  return describeModel(config, tensors).encoder as ConvAsrSpec;
};
const firstOf = (block: Partial<Block>, rest: Record<string, unknown> = {}) =>
  encoderOf([{ filters: 8, kernel: 5, ...block }], rest).blocks[0];

describe("describeConvAsr", () => {
  test("has NeMo's defaults for every key that is missing", () => {
    const { config, tensors } = ctcModel(convAsr([{ filters: 8, kernel: 5, separable: false, residual: false }]));
    const jasper = [{ filters: 8, repeat: 1, kernel: [5], stride: [1], dilation: [1], dropout: 0.1, residual: false }];
    const encoder = { _target_: "nemo.x.ConvASREncoder", feat_in: 80, activation: "relu", jasper };
    expect(describeModel({ ...config, encoder }, tensors).encoder).toEqual({
      kind: "convasr",
      ...{ numMels: 80, activation: "relu", convMask: true, outSize: 8, subsamplingFactor: 1 },
      blocks: [
        {
          ...{ filters: 8, repeat: 1, kernel: 5, stride: 1, dilation: 1, separable: false, groups: 1, heads: -1 },
          ...{ residual: false, residualMode: "add", residualDense: false, strideLast: false, futureContext: -1 },
          ...{ normalization: "batch", normGroups: 1, squeezeExcite: undefined },
        },
      ],
    });
  });

  test("scales kernels as NeMo does: truncated, odd, at least 1", () => {
    const scaled = (kernel: number, factor: number) => firstOf({ kernel, rest: { kernel_size_factor: factor } }).kernel;
    expect([scaled(11, 0.25), scaled(13, 0.5), scaled(5, 1.5), scaled(3, 0.25), scaled(29, 1)]).toEqual([
      3, 7, 7, 1, 29,
    ]);
  });

  test("lets residual_mode stick from block to block", () => {
    const mode = (residual_mode: string) => ({ filters: 8, kernel: 5, rest: { residual_mode } });
    const plain = { filters: 8, kernel: 5 };
    const modes = encoderOf([plain, mode("stride_add"), plain, mode("max"), plain]).blocks.map((b) => b.residualMode);
    expect(modes).toEqual(["add", "stride_add", "stride_add", "max", "max"]);
    expect(firstOf({}, { residual_mode: "max" }).residualMode).toBe("max");
  });

  test("counts the frames of a step", () => {
    const strided = (rest: object, repeat = 1): Block => ({
      filters: 8,
      kernel: 5,
      stride: 2,
      repeat,
      residual: false,
      rest: { ...rest },
    });
    expect(encoderOf([strided({}), strided({ stride_last: true }, 3)]).subsamplingFactor).toBe(4);
    expect(encoderOf([strided({}, 2)]).subsamplingFactor).toBe(4);
  });

  test("describes squeeze-excite, groups, heads and a limited future", () => {
    const se = { se_context_size: 256, se_reduction_ratio: 8, se_interpolation_mode: "nearest" };
    expect(firstOf({ se: true, rest: se }).squeezeExcite).toEqual({
      reductionRatio: 8,
      contextWindow: 256,
      interpolation: "nearest",
    });
    expect(firstOf({ groups: 2, separable: false, residual: false })).toMatchObject({ groups: 2 });
    expect(firstOf({ heads: 4 })).toMatchObject({ heads: 4 });
    expect(firstOf({ rest: { future_context: 1 } }).futureContext).toBe(1);
    expect(firstOf({ kernel: 3, rest: { future_context: 3 } }).futureContext).toBe(-1);
  });

  test("tells masked convolutions and norms by the tensors' names", () => {
    expect(encoderOf([{ filters: 8, kernel: 5 }], { conv_mask: false }).convMask).toBe(false);
    const { config, tensors } = ctcModel(convAsr([{ filters: 8, kernel: 5 }], 80, { conv_mask: false }));
    const encoder = { ...(config.encoder as object), conv_mask: true };
    expect((describeModel({ ...config, encoder }, tensors).encoder as ConvAsrSpec).convMask).toBe(false);
    expect(firstOf({}, { normalization_mode: "layer" })).toMatchObject({ normalization: "layer", normGroups: 1 });
    expect(firstOf({}, { normalization_mode: "instance" }).normGroups).toBe(8);
    expect(firstOf({}, { normalization_mode: "group", norm_groups: 4 }).normGroups).toBe(4);
    expect(firstOf({}, { normalization_mode: "group" }).normGroups).toBe(8);
  });

  test("follows dense residuals through the blocks", () => {
    const dense = { filters: 8, kernel: 5, dense: true };
    const blocks: Block[] = [{ filters: 16, kernel: 5, residual: false }, dense, { ...dense, filters: 12 }, dense];
    expect(encoderOf(blocks).blocks.map((block) => block.residualDense)).toEqual([false, true, true, true]);
  });

  const first = "model_config.yaml: `encoder.jasper[0]";
  test.each<[string, Partial<Block>, Record<string, unknown>, string, string]>([
    [
      "stride and dilation at once",
      { stride: 2, dilation: 2, residual: false },
      {},
      "MODEL_INVALID",
      `${first}\`: only stride or dilation may be greater than 1.`,
    ],
    [
      "a residual around a stride",
      { stride: 2 },
      {},
      "MODEL_INVALID",
      `${first}\`: a residual branch around a stride of 2 needs residual_mode "stride_add".`,
    ],
    [
      "another residual mode",
      { rest: { residual_mode: "mean" } },
      {},
      "MODEL_INVALID",
      `${first}.residual_mode\`: expected "add", "stride_add" or "max", got "mean".`,
    ],
    [
      "an unknown option of a block",
      { rest: { magic: 3 } },
      {},
      "MODEL_UNSUPPORTED",
      `${first}.magic\` is 3, an option that is not known here`,
    ],
    [
      "an unknown option of the encoder",
      {},
      { magic: 3 },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `encoder.magic` is 3",
    ],
    [
      "another activation",
      {},
      { activation: "mish" },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `encoder.activation` is "mish", supported is one of "identity", "hardtanh"',
    ],
    [
      "no blocks",
      {},
      { jasper: [] },
      "MODEL_INVALID",
      "model_config.yaml: `encoder.jasper`: expected a list of blocks, got [].",
    ],
    [
      "blocks that are no mappings",
      {},
      { jasper: [1] },
      "MODEL_INVALID",
      "model_config.yaml: `encoder.jasper[0]`: expected a mapping, got 1.",
    ],
    [
      "too many blocks",
      {},
      { jasper: Array(257).fill({}) },
      "LIMIT_EXCEEDED",
      "model_config.yaml: expected at most 256 blocks in `encoder.jasper`, got 257.",
    ],
    [
      "too many repeats",
      { rest: { repeat: 65 } },
      {},
      "LIMIT_EXCEEDED",
      "model_config.yaml: expected at most 64 repeats of a block, got 65.",
    ],
    [
      "a kernel that is nothing",
      { rest: { kernel: [] } },
      {},
      "MODEL_INVALID",
      `${first}.kernel\`: expected a positive integer, got [].`,
    ],
    [
      "groups that do not divide",
      { groups: 3, separable: false, residual: false },
      {},
      "MODEL_INVALID",
      "`encoder.jasper[0]`: 8 filters cannot be split into its groups.",
    ],
    [
      "another kernel than the tensors have",
      { rest: { kernel: [7] } },
      {},
      "MODEL_INVALID",
      "weight `encoder.encoder.0.mconv.0.conv.weight` has shape [80, 1, 5], expected [80, 1, 7] from `encoder.jasper[0]`.",
    ],
  ])("refuses %s", (_, block, rest, code, text) => {
    expect(() => firstOf(block, rest)).toThrow(expect.objectContaining({ code }));
    expect(() => firstOf(block, rest)).toThrow(text);
  });
});
