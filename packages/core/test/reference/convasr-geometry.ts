import fc from "fast-check";
import type { Activation, ConvAsrSpec, JasperBlockSpec } from "../../src/config/spec.ts";
import type { TensorShapes } from "./params.ts";

/** A small convolutional encoder as a test draws it. */
export interface ConvAsrCase {
  readonly spec: ConvAsrSpec;
  /** Valid frames of every recording in the batch. */
  readonly lengths: readonly number[];
  /** Frames of padding behind the longest recording. */
  readonly padding: number;
  readonly seed: number;
}

const NORMALIZATIONS = ["batch", "batch", "batch", "layer", "instance", "group"] as const;
const ACTIVATIONS: readonly Activation[] = ["relu", "relu", "hardtanh", "selu", "swish", "silu", "gelu", "identity"];

/** What is drawn for one block; the blocks before it decide what of that can stand together. */
const block = fc.record({
  quarters: fc.integer({ min: 1, max: 4 }),
  repeat: fc.integer({ min: 1, max: 3 }),
  halfKernel: fc.integer({ min: 0, max: 4 }),
  stride: fc.constantFrom(1, 1, 2, 3),
  dilation: fc.constantFrom(1, 1, 2),
  separable: fc.boolean(),
  groups: fc.constantFrom(1, 1, 2, 4),
  heads: fc.constantFrom(-1, -1, 2, 4),
  residual: fc.boolean(),
  mode: fc.constantFrom<JasperBlockSpec["residualMode"]>("add", "stride_add", "max"),
  strideLast: fc.boolean(),
  futureContext: fc.constantFrom(-1, -1, 0, 1, 3, 12),
  excite: fc.boolean(),
});

type Drawn = typeof block extends fc.Arbitrary<infer T> ? T : never;

/** Small random encoders, with a batch of recordings of unequal lengths. */
export const convAsrCase: fc.Arbitrary<ConvAsrCase> = fc
  .record({
    quarters: fc.integer({ min: 1, max: 3 }),
    activation: fc.constantFrom(...ACTIVATIONS),
    convMask: fc.constantFrom(true, true, true, false),
    normalization: fc.constantFrom(...NORMALIZATIONS),
    normGroups: fc.constantFrom(-1, 2, 4),
    blocks: fc.array(block, { minLength: 1, maxLength: 4 }),
    // The blocks with dense residuals stand together.
    dense: fc.option(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 3 })), { nil: undefined }),
    lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 3 }),
    padding: fc.integer({ min: 0, max: 3 }),
    seed: fc.nat(),
  })
  .map((c) => {
    const numMels = 4 * c.quarters;
    const blocks = c.blocks.map((drawn, i) =>
      c.dense ? denseBlock(blockSpec(drawn, c), numMels, i, c.dense) : blockSpec(drawn, c),
    );
    return {
      spec: {
        kind: "convasr",
        numMels,
        activation: c.activation,
        convMask: c.convMask,
        blocks,
        outSize: blocks[blocks.length - 1].filters,
        subsamplingFactor: blocks.reduce((factor, b) => factor * b.stride, 1),
      },
      lengths: c.lengths,
      padding: c.padding,
      seed: c.seed,
    };
  });

function blockSpec(
  drawn: Drawn,
  encoder: Pick<JasperBlockSpec, "normalization" | "normGroups"> & { convMask: boolean },
): JasperBlockSpec {
  // A strided block can only be added to a strided residual, and then only its last repeat strides.
  const stride = drawn.residual && drawn.mode !== "stride_add" ? 1 : drawn.stride;
  // NeMo refuses to stride and dilate at once.
  const dilation = stride === 1 ? drawn.dilation : 1;
  // A plain `Conv1d` takes no unequal padding; with dilation it changes the length, which no residual follows.
  const hasFuture = encoder.convMask && (dilation === 1 || !drawn.residual);
  return {
    filters: 4 * drawn.quarters,
    repeat: drawn.repeat,
    kernel: 2 * drawn.halfKernel + 1,
    stride,
    dilation,
    separable: drawn.separable,
    groups: drawn.groups,
    // Shared kernels are a thing of `MaskedConv1d`.
    heads: encoder.convMask ? drawn.heads : -1,
    residual: drawn.residual,
    residualMode: drawn.mode,
    residualDense: false,
    strideLast: drawn.residual || drawn.strideLast,
    futureContext: hasFuture ? drawn.futureContext : -1,
    normalization: encoder.normalization,
    normGroups: encoder.normGroups,
    squeezeExcite: drawn.excite ? { reductionRatio: 2, contextWindow: 5, interpolation: "nearest" } : undefined,
  };
}

/**
 * A block of an encoder with dense residuals: all of one size and on one time axis, so that any block may take its
 * residual from any pane.
 */
function denseBlock(b: JasperBlockSpec, filters: number, i: number, [from, count]: [number, number]): JasperBlockSpec {
  const isDense = i >= from && i < from + count;
  const futureContext = b.dilation === 1 ? b.futureContext : -1;
  return { ...b, filters, stride: 1, futureContext, residual: isDense || b.residual, residualDense: isDense };
}

/** The tensors of an encoder's checkpoint (nemo.md 5.12). */
export function convAsrTensors(spec: ConvAsrSpec): TensorShapes {
  const shapes: Record<string, number[]> = {};
  const conv = (name: string, dims: number[]) => {
    shapes[`${name}.${spec.convMask ? "conv.weight" : "weight"}`] = dims;
  };
  const norm = (name: string, size: number) => {
    const parts = [
      "weight",
      "bias",
      ...(spec.blocks[0].normalization === "batch" ? ["running_mean", "running_var"] : []),
    ];
    for (const part of parts) shapes[`${name}.${part}`] = [size];
  };
  let size = spec.numMels;
  let panes: number[] = [];
  spec.blocks.forEach((b, i) => {
    const prefix = `encoder.encoder.${i}`;
    if (b.residualDense) panes = [...panes, size];
    let index = 0;
    for (let r = 0; r < b.repeat; r++) {
      const numIn = r === 0 ? size : b.filters;
      if (b.separable) {
        conv(`${prefix}.mconv.${index++}`, [b.heads === -1 ? numIn : b.heads, 1, b.kernel]);
        conv(`${prefix}.mconv.${index++}`, [b.filters, numIn / b.groups, 1]);
      } else {
        conv(`${prefix}.mconv.${index++}`, [b.filters, numIn / b.groups, b.kernel]);
      }
      norm(`${prefix}.mconv.${index++}`, b.filters);
      index += (b.groups > 1 ? 1 : 0) + (r < b.repeat - 1 ? 2 : 0);
    }
    if (b.squeezeExcite) {
      shapes[`${prefix}.mconv.${index}.fc.0.weight`] = [b.filters / 2, b.filters];
      shapes[`${prefix}.mconv.${index}.fc.2.weight`] = [b.filters, b.filters / 2];
    }
    if (b.residual) {
      (b.residualDense ? panes : [size]).forEach((numIn, n) => {
        conv(`${prefix}.res.${n}.0`, [b.filters, numIn, 1]);
        norm(`${prefix}.res.${n}.1`, b.filters);
      });
    }
    size = b.filters;
  });
  return shapes;
}

/** Whether a recording's numbers may depend on how far its batch is padded, in NeMo as here. */
export const seesPadding = (spec: ConvAsrSpec): boolean => !spec.convMask || spec.blocks[0].normalization !== "batch";
