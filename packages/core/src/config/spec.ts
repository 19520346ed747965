/**
 * The one typed description of a model, made from `model_config.yaml` and the shapes of the tensors (tensors win).
 * Everything downstream (features, graphs, decoding, text) reads this and nothing else of the configuration.
 */
export interface ModelSpec {
  /** NeMo's class, for example `EncDecHybridRNNTCTCBPEModel`. */
  readonly className: string;
  readonly nemoVersion: string | undefined;
  readonly sampleRateHz: number;
  readonly features: FeatureSpec;
  readonly encoder: EncoderSpec;
  readonly heads: HeadsSpec;
  /** Absent for classifiers. */
  readonly tokenizer: TokenizerSpec | undefined;
  readonly decoding: DecodingSpec;
}

/** Normalisation of features over time. */
export type Normalization =
  | { readonly kind: "per_feature" | "all_features" | "none" }
  | { readonly kind: "fixed"; readonly mean: readonly number[]; readonly std: readonly number[] };

/** `AudioToMelSpectrogramPreprocessor` or `AudioToMFCCPreprocessor` at inference (dither off). */
export interface FeatureSpec {
  readonly kind: "mel" | "mel-torchaudio" | "mfcc";
  readonly sampleRateHz: number;
  readonly windowSamples: number;
  readonly hopSamples: number;
  /** `window_stride` where that is no whole number of samples: NeMo's timestamps count in it. */
  readonly hopSec?: number;
  readonly window: "hann" | "hamming" | "blackman" | "bartlett" | "none";
  readonly fftSize: number;
  /** Coefficient of pre-emphasis; undefined for none. */
  readonly preEmphasis: number | undefined;
  readonly numMels: number;
  readonly lowHz: number;
  readonly highHz: number;
  readonly melNorm: "slaney" | "none";
  readonly magPower: number;
  readonly log: boolean;
  readonly logZeroGuard: { readonly kind: "add" | "clamp"; readonly value: number };
  readonly normalize: Normalization;
  readonly frameSplicing: number;
  /** Frames are padded to a multiple of this; 0 for none. */
  readonly padTo: number;
  readonly padValue: number;
  readonly exactPad: boolean;
  /** MFCC only. */
  readonly numMfcc: number;
  readonly mfccNorm: "ortho" | "none";
  readonly mfccLog: boolean;
}

/** One attention context in encoder steps; -1 means unlimited. */
export interface AttContext {
  readonly left: number;
  readonly right: number;
}

/** What turns features into encoder steps. */
export type EncoderSpec = ConformerSpec | ConvAsrSpec | GraphEncoderSpec;

/** The norm inside a Conformer's convolution module. */
export type ConvNorm =
  | { readonly kind: "batch_norm" | "layer_norm" | "instance_norm" | "fused_batch_norm" }
  | { readonly kind: "group_norm"; readonly numGroups: number };

/** NeMo `ConformerEncoder`. */
export interface ConformerSpec {
  readonly kind: "conformer";
  readonly numMels: number;
  readonly modelSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly feedForwardSize: number;
  /** Size of `encoder.out_proj`, where there is one. */
  readonly outSize: number | undefined;
  readonly subsampling: SubsamplingSpec;
  readonly attention: {
    readonly kind: "rel_pos" | "rel_pos_local_attn" | "abs_pos";
    /** Every context the checkpoint lists; the first is the default. */
    readonly contexts: readonly AttContext[];
    readonly style: "regular" | "chunked_limited" | "chunked_limited_with_rc";
    readonly globalTokens: number;
    readonly globalTokensSpacing: number;
    readonly globalAttnSeparate: boolean;
    /** For `chunked_limited_with_rc` only: `[left, chunk, right]` triples. */
    readonly chunkContexts: readonly (readonly [number, number, number])[];
    /** Position biases are the same for all layers (they stand in every layer all the same). */
    readonly untieBiases: boolean;
  };
  readonly xscaling: boolean;
  readonly convKernel: number;
  /** Left and right padding of the depthwise convolution; `[kernel - 1, 0]` is causal. */
  readonly convContext: { readonly left: number; readonly right: number };
  readonly convNorm: ConvNorm;
  readonly reduction:
    | { readonly kind: "pooling" | "striding"; readonly position: number; readonly factor: number }
    | undefined;
}

/** `pre_encode` of a Conformer. */
export interface SubsamplingSpec {
  readonly kind: "striding" | "dw_striding" | "stacking" | "stacking_norm" | "feature_stacking" | "linear";
  readonly factor: number;
  readonly convChannels: number;
  readonly isCausal: boolean;
  /**
   * Frames beyond the recording are zeroed before every convolution; not so with `subsampling_conv_chunking_factor` above 1,
   * where NeMo runs a lone recording through `conv_split_by_channel`.
   */
  readonly isMasked: boolean;
}

/** NeMo `ConvASREncoder`: QuartzNet, Jasper, Citrinet, ContextNet, MatchboxNet, MarbleNet. */
export interface ConvAsrSpec {
  readonly kind: "convasr";
  readonly numMels: number;
  readonly activation: Activation;
  readonly convMask: boolean;
  readonly blocks: readonly JasperBlockSpec[];
  readonly outSize: number;
  readonly subsamplingFactor: number;
}

/** Names of NeMo's `activation_registry` and of torch functions; `hardtanh` is torch's, -1 … 1. */
export type Activation = "relu" | "hardtanh" | "selu" | "swish" | "silu" | "gelu" | "tanh" | "sigmoid" | "identity";

/** An encoder of which nothing is known but its graph: another tool exported it. */
export interface GraphEncoderSpec {
  readonly kind: "graph";
  readonly numMels: number;
  readonly outSize: number;
  readonly subsamplingFactor: number;
}

/** One `JasperBlock`. */
export interface JasperBlockSpec {
  readonly filters: number;
  readonly repeat: number;
  /** After `kernel_size_factor`. */
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly separable: boolean;
  readonly groups: number;
  readonly heads: number;
  readonly residual: boolean;
  readonly residualMode: "add" | "stride_add" | "max";
  readonly residualDense: boolean;
  readonly strideLast: boolean;
  /** Steps that the convolutions look ahead; -1 for as many as they look back. */
  readonly futureContext: number;
  readonly normalization: "batch" | "layer" | "instance" | "group";
  readonly normGroups: number;
  readonly squeezeExcite:
    | { readonly reductionRatio: number; readonly contextWindow: number; readonly interpolation: string }
    | undefined;
}

/** The outputs a model has. At least one member is present. */
export interface HeadsSpec {
  readonly ctc?: CtcSpec;
  readonly transducer?: TransducerSpec;
  readonly classifier?: ClassifierSpec;
}

/** `ConvASRDecoder`; prefix is `decoder.` or, in hybrids, `ctc_decoder.`. */
export interface CtcSpec {
  readonly prefix: string;
  /** Including blank, which is last. */
  readonly numClasses: number;
  readonly temperature: number;
}

/** Prediction network and joint. */
export interface TransducerSpec {
  readonly kind: "rnnt" | "tdt";
  /** Without blank; blank is this id. */
  readonly vocabularySize: number;
  readonly durations: readonly number[];
  readonly prediction:
    | {
        readonly kind: "lstm";
        readonly numLayers: number;
        readonly hiddenSize: number;
        readonly embeddingSize: number;
        readonly projectionSize: number | undefined;
        readonly hasBlankRow: boolean;
      }
    | {
        readonly kind: "stateless";
        readonly contextSize: number;
        readonly hiddenSize: number;
        readonly layerNorm: boolean;
      };
  readonly joint: {
    readonly hiddenSize: number;
    readonly activation: "relu" | "sigmoid" | "tanh";
    /** Tensor name prefix of the output layer, `joint.joint_net.2` or `joint.joint_net.1`. */
    readonly outputPrefix: string;
    readonly numOutputs: number;
  };
  /** Undefined for no limit. */
  readonly maxSymbols: number | undefined;
}

/** Classification of a whole recording (pooled) or of every step (frame). */
export interface ClassifierSpec {
  readonly kind: "pooled" | "frame";
  readonly prefix: string;
  readonly labels: readonly string[];
  readonly numClasses: number;
  readonly pooling: "avg" | "max";
  /** Linear layers of a `MultiLayerPerceptron` (frame), by tensor prefix. */
  readonly layers: readonly string[];
  readonly activation: Activation;
  readonly logSoftmax: boolean;
  /** Softmax in the model itself (`return_logits: false`): its outputs are probabilities. */
  readonly softmax: boolean;
}

/**
 * How ids become text. `artifact` is the configuration's value, to be given to `Checkpoint.artifact`; `size` is the number
 * of ids that the heads have, where it is known.
 */
export type TokenizerSpec = { readonly size?: number } & (
  | { readonly kind: "sentencepiece"; readonly artifact: string; readonly vocabulary: readonly string[] }
  | { readonly kind: "wordpiece"; readonly artifact: string; readonly specialTokens: readonly string[] }
  | { readonly kind: "characters"; readonly labels: readonly string[] }
  | {
      readonly kind: "aggregate";
      readonly parts: readonly { readonly lang: string; readonly tokenizer: TokenizerSpec }[];
    }
);

/** `decoding` of the configuration, as far as greedy decoding reads it. */
export interface DecodingSpec {
  /** What the checkpoint asks for; anything but `greedy` and `greedy_batch` means that NeMo itself would search. */
  readonly strategy: string;
  readonly confidence: ConfidenceSpec;
  readonly wordSeparator: string;
  readonly segmentSeparators: readonly string[];
  readonly segmentGapThresholdSteps: number | undefined;
  readonly stripLangTags: boolean;
  readonly langTagPattern: string | undefined;
  readonly eouString: string;
  readonly eobString: string;
}

/** NeMo `ConfidenceConfig` with its method. */
export interface ConfidenceSpec {
  readonly excludeBlank: boolean;
  readonly aggregation: "min" | "max" | "mean" | "prod";
  readonly tdtIncludeDuration: boolean;
  readonly method: "max_prob" | "entropy";
  readonly entropyType: "gibbs" | "tsallis" | "renyi";
  readonly alpha: number;
  readonly entropyNorm: "lin" | "exp";
}
