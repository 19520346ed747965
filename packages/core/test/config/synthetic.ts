import type { TensorInfo } from "../../src/checkpoint/checkpoint.ts";

export type Shapes = Record<string, readonly number[]>;
export type Mapping = Record<string, unknown>;

export const ASR = "nemo.collections.asr";

export function tensorMap(shapes: Shapes): Map<string, TensorInfo> {
  return new Map(
    Object.entries(shapes).map(([name, dims]) => [
      name,
      { name, type: "float32", dims, strides: dims.map(() => 1), offsetBytes: 0, isContiguous: true },
    ]),
  );
}

export const layer = (prefix: string, dims: readonly number[], hasBias = true): Shapes => ({
  [`${prefix}.weight`]: dims,
  ...(hasBias ? { [`${prefix}.bias`]: [dims[0]] } : {}),
});

const batchNorm = (prefix: string, size: number): Shapes => ({
  ...layer(prefix, [size]),
  [`${prefix}.running_mean`]: [size],
  [`${prefix}.running_var`]: [size],
  [`${prefix}.num_batches_tracked`]: [],
});

// ---- front ends -----------------------------------------------------------------------------------------------------

export function melFrontEnd(features = 80, rest: Mapping = {}): { config: Mapping; shapes: Shapes } {
  return {
    config: {
      _target_: `${ASR}.modules.AudioToMelSpectrogramPreprocessor`,
      sample_rate: 16000,
      normalize: "per_feature",
      window_size: 0.025,
      window_stride: 0.01,
      window: "hann",
      features,
      n_fft: 512,
      frame_splicing: 1,
      dither: 1e-5,
      pad_to: 0,
      ...rest,
    },
    shapes: { "preprocessor.featurizer.window": [400], "preprocessor.featurizer.fb": [1, features, 257] },
  };
}

export function mfccFrontEnd(): { config: Mapping; shapes: Shapes } {
  const featurizer = "preprocessor.featurizer";
  return {
    config: {
      _target_: `${ASR}.modules.AudioToMFCCPreprocessor`,
      window_size: 0.025,
      window_stride: 0.01,
      window: "hann",
      n_mels: 64,
      n_mfcc: 64,
      n_fft: 512,
    },
    shapes: {
      [`${featurizer}.dct_mat`]: [64, 64],
      [`${featurizer}.MelSpectrogram.spectrogram.window`]: [400],
      [`${featurizer}.MelSpectrogram.mel_scale.fb`]: [257, 64],
    },
  };
}

// ---- encoders -------------------------------------------------------------------------------------------------------

/** Options of `ConformerEncoder` that change its tensors; all others go into the configuration alone. */
export interface ConformerOptions {
  readonly mels?: number;
  readonly size?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly kernel?: number;
  readonly factor?: number;
  readonly subsampling?: string | null;
  readonly channels?: number;
  readonly isCausal?: boolean;
  readonly norm?: string;
  readonly hasBias?: boolean;
  readonly attention?: string;
  readonly outSize?: number;
  readonly rest?: Mapping;
}

export function conformer(options: ConformerOptions = {}): { config: Mapping; shapes: Shapes; size: number } {
  const { mels = 80, size = 8, layers = 2, heads = 2, kernel = 9, outSize = -1, norm = "batch_norm" } = options;
  const { factor = 4, subsampling = "striding", channels = size, isCausal = false, hasBias = true } = options;
  const { attention = "rel_pos", rest = {} } = options;
  const shapes: Shapes = subsamplingShapes({ mels, size, factor, subsampling, channels, isCausal });
  for (let i = 0; i < layers; i++) {
    const prefix = `encoder.layers.${i}`;
    for (const name of ["norm_feed_forward1", "norm_conv", "norm_self_att", "norm_feed_forward2", "norm_out"]) {
      Object.assign(shapes, layer(`${prefix}.${name}`, [size]));
    }
    for (const name of ["feed_forward1", "feed_forward2"]) {
      Object.assign(shapes, layer(`${prefix}.${name}.linear1`, [4 * size, size], hasBias));
      Object.assign(shapes, layer(`${prefix}.${name}.linear2`, [size, 4 * size], hasBias));
    }
    for (const name of ["linear_q", "linear_k", "linear_v", "linear_out"]) {
      Object.assign(shapes, layer(`${prefix}.self_attn.${name}`, [size, size], hasBias));
    }
    if (attention !== "abs_pos") {
      shapes[`${prefix}.self_attn.linear_pos.weight`] = [size, size];
      shapes[`${prefix}.self_attn.pos_bias_u`] = [heads, size / heads];
      shapes[`${prefix}.self_attn.pos_bias_v`] = [heads, size / heads];
    }
    Object.assign(shapes, layer(`${prefix}.conv.pointwise_conv1`, [2 * size, size, 1], hasBias));
    Object.assign(shapes, layer(`${prefix}.conv.depthwise_conv`, [size, 1, kernel], hasBias));
    Object.assign(shapes, layer(`${prefix}.conv.pointwise_conv2`, [size, size, 1], hasBias));
    if (norm === "batch_norm") Object.assign(shapes, batchNorm(`${prefix}.conv.batch_norm`, size));
    else if (norm !== "instance_norm") Object.assign(shapes, layer(`${prefix}.conv.batch_norm`, [size]));
  }
  if (outSize > 0) Object.assign(shapes, layer("encoder.out_proj", [outSize, size]));
  const config = {
    _target_: `${ASR}.modules.ConformerEncoder`,
    feat_in: mels,
    feat_out: outSize,
    n_layers: layers,
    d_model: size,
    n_heads: heads,
    subsampling,
    subsampling_factor: factor,
    subsampling_conv_channels: channels,
    causal_downsampling: isCausal,
    ff_expansion_factor: 4,
    self_attention_model: attention,
    conv_kernel_size: kernel,
    conv_norm_type: norm,
    use_bias: hasBias,
    dropout: 0.1,
    dropout_emb: 0,
    dropout_att: 0.1,
    ...rest,
  };
  return { config, shapes, size: outSize > 0 ? outSize : size };
}

interface Subsampling {
  readonly mels: number;
  readonly size: number;
  readonly factor: number;
  readonly subsampling: string | null;
  readonly channels: number;
  readonly isCausal: boolean;
}

function subsamplingShapes({ mels, size, factor, subsampling, channels, isCausal }: Subsampling): Shapes {
  const prefix = "encoder.pre_encode";
  if (!subsampling || factor <= 1) return layer(prefix, [size, mels]);
  if (subsampling === "feature_stacking") return { [`${prefix}.proj.weight`]: [size, factor * mels] };
  if (subsampling.startsWith("stacking")) {
    return {
      ...layer(`${prefix}.proj_out`, [size, factor * mels]),
      ...(subsampling === "stacking_norm" ? layer(`${prefix}.pre_norm`, [mels]) : {}),
    };
  }
  const shapes: Shapes = layer(`${prefix}.conv.0`, [channels, 1, 3, 3]);
  let width = mels;
  for (let stage = 0; stage < Math.log2(factor); stage++) {
    width = isCausal ? Math.floor(width / 2) + 1 : Math.ceil(width / 2);
    if (stage === 0) continue;
    if (subsampling === "striding") {
      Object.assign(shapes, layer(`${prefix}.conv.${2 * stage}`, [channels, channels, 3, 3]));
    } else {
      Object.assign(shapes, layer(`${prefix}.conv.${3 * stage - 1}`, [channels, 1, 3, 3]));
      Object.assign(shapes, layer(`${prefix}.conv.${3 * stage}`, [channels, channels, 1, 1]));
    }
  }
  return { ...shapes, ...layer(`${prefix}.out`, [size, channels * width]) };
}

/** One block of `ConvASREncoder`. */
export interface Block {
  readonly filters: number;
  readonly kernel: number;
  readonly repeat?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly residual?: boolean;
  readonly separable?: boolean;
  readonly groups?: number;
  readonly heads?: number;
  readonly dense?: boolean;
  readonly se?: boolean;
  readonly rest?: Mapping;
}

export function convAsr(
  blocks: readonly Block[],
  mels = 80,
  rest: Mapping = {},
): { config: Mapping; shapes: Shapes; size: number } {
  const shapes: Shapes = {};
  const conv = rest.conv_mask === false ? "weight" : "conv.weight";
  const norm = (prefix: string, size: number): Shapes =>
    (rest.normalization_mode ?? "batch") === "batch" ? batchNorm(prefix, size) : layer(prefix, [size]);
  const panes: number[] = [];
  let inputs = mels;
  blocks.forEach((block, i) => {
    const { filters, kernel, repeat = 1, separable = true, residual = true, groups = 1, heads = -1 } = block;
    const prefix = `encoder.encoder.${i}`;
    const scaled = Math.max(Math.trunc(kernel * Number(block.rest?.kernel_size_factor ?? 1)), 1);
    const width = scaled % 2 === 0 ? scaled + 1 : scaled;
    if (block.dense) panes.push(inputs);
    let at = 0;
    for (let r = 0; r < repeat; r++) {
      const numIn = r === 0 ? inputs : filters;
      if (separable) {
        shapes[`${prefix}.mconv.${at}.${conv}`] = [heads > 0 ? heads : numIn, 1, width];
        shapes[`${prefix}.mconv.${at + 1}.${conv}`] = [filters, numIn / groups, 1];
      } else {
        shapes[`${prefix}.mconv.${at}.${conv}`] = [filters, numIn / groups, width];
      }
      at += separable ? 2 : 1;
      Object.assign(shapes, norm(`${prefix}.mconv.${at}`, filters));
      at += groups > 1 ? 2 : 1;
      if (r < repeat - 1) at += 2;
    }
    if (block.se) {
      shapes[`${prefix}.mconv.${at}.fc.0.weight`] = [Math.floor(filters / 8), filters];
      shapes[`${prefix}.mconv.${at}.fc.2.weight`] = [filters, Math.floor(filters / 8)];
    }
    for (const [p, numIn] of (residual ? (block.dense ? panes : [inputs]) : []).entries()) {
      shapes[`${prefix}.res.${p}.0.${conv}`] = [filters, numIn, 1];
      Object.assign(shapes, norm(`${prefix}.res.${p}.1`, filters));
    }
    inputs = filters;
  });
  const jasper = blocks.map(({ filters, kernel, repeat = 1, stride = 1, dilation = 1, ...block }) => ({
    filters,
    repeat,
    kernel: [kernel],
    stride: [stride],
    dilation: [dilation],
    dropout: 0,
    residual: block.residual ?? true,
    separable: block.separable ?? true,
    ...(block.groups ? { groups: block.groups } : {}),
    ...(block.heads ? { heads: block.heads } : {}),
    ...(block.dense ? { residual_dense: true } : {}),
    ...(block.se ? { se: true, se_context_size: -1 } : {}),
    ...block.rest,
  }));
  const config = {
    _target_: `${ASR}.modules.ConvASREncoder`,
    feat_in: mels,
    activation: "relu",
    conv_mask: true,
    jasper,
  };
  return { config: { ...config, ...rest }, shapes, size: inputs };
}
