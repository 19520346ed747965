import type { FeatureSpec, ModelSpec, TransducerSpec, Weights } from "@nemo-stt/core";
import { conformerTensors } from "../../../core/test/reference/conformer-geometry.ts";
import { randomParams } from "../../../core/test/reference/params.ts";

/** A model of random weights, as `foreignGraphs` and `buildGraphs` take it. */
export interface RandomModel {
  readonly spec: ModelSpec;
  readonly weights: Weights;
  readonly pieces: readonly string[];
}

/** The front end of NeMo's Conformers, which whoever is told nothing takes. */
const features: FeatureSpec = {
  kind: "mel",
  sampleRateHz: 16_000,
  windowSamples: 400,
  hopSamples: 160,
  window: "hann",
  fftSize: 512,
  preEmphasis: 0.97,
  numMels: 80,
  lowHz: 0,
  highHz: 8000,
  melNorm: "slaney",
  magPower: 2,
  log: true,
  logZeroGuard: { kind: "add", value: 2 ** -24 },
  normalize: { kind: "per_feature" },
  frameSplicing: 1,
  padTo: 0,
  padValue: 0,
  exactPad: false,
  numMfcc: 0,
  mfccNorm: "none",
  mfccLog: false,
};

const NUM_TOKENS = 24;
const MODEL = 16;
const HIDDEN = 12;
const JOINT = 20;

/**
 * A small hybrid of CTC and TDT (or RNNT, with no durations) over a FastConformer. Weights of the heads are enlarged, so
 * that the best token leads clearly.
 */
export function randomHybrid(durations: readonly number[], seed: number): RandomModel {
  const transducer: TransducerSpec = {
    kind: durations.length > 0 ? "tdt" : "rnnt",
    vocabularySize: NUM_TOKENS,
    durations,
    prediction: {
      kind: "lstm",
      numLayers: 2,
      hiddenSize: HIDDEN,
      embeddingSize: HIDDEN,
      projectionSize: undefined,
      hasBlankRow: true,
    },
    joint: {
      hiddenSize: JOINT,
      activation: "relu",
      outputPrefix: "joint.joint_net.2",
      numOutputs: NUM_TOKENS + 1 + durations.length,
    },
    maxSymbols: 5,
  };
  const encoder = {
    kind: "conformer",
    numMels: features.numMels,
    modelSize: MODEL,
    numLayers: 2,
    numHeads: 2,
    feedForwardSize: 2 * MODEL,
    outSize: undefined,
    subsampling: { kind: "dw_striding", factor: 8, convChannels: 4, isCausal: false, isMasked: true },
    attention: {
      kind: "rel_pos",
      contexts: [{ left: -1, right: -1 }],
      style: "regular",
      globalTokens: 0,
      globalTokensSpacing: 1,
      globalAttnSeparate: false,
      chunkContexts: [],
      untieBiases: true,
    },
    xscaling: false,
    convKernel: 5,
    convContext: { left: 2, right: 2 },
    convNorm: { kind: "batch_norm" },
    reduction: undefined,
  } as const;
  const params = randomParams({ ...conformerTensors(encoder, true), ...headTensors(transducer) }, seed);
  const isOutput = /^(ctc_decoder|joint\.joint_net|decoder\.prediction\.embed)/;
  return {
    spec: {
      className: durations.length > 0 ? "EncDecHybridRNNTCTCBPEModel" : "EncDecRNNTBPEModel",
      nemoVersion: "3.0.0",
      sampleRateHz: features.sampleRateHz,
      features,
      encoder,
      heads: { ctc: { prefix: "ctc_decoder.", numClasses: NUM_TOKENS + 1, temperature: 1 }, transducer },
      tokenizer: undefined,
      decoding: {
        strategy: "greedy_batch",
        confidence: {
          excludeBlank: true,
          aggregation: "min",
          tdtIncludeDuration: false,
          method: "entropy",
          entropyType: "tsallis",
          alpha: 0.33,
          entropyNorm: "exp",
        },
        wordSeparator: " ",
        segmentSeparators: [".", "?", "!"],
        segmentGapThresholdSteps: undefined,
        stripLangTags: false,
        langTagPattern: undefined,
        eouString: "<EOU>",
        eobString: "<EOB>",
      },
    },
    weights: {
      ...params.weights,
      read: async (name) => (await params.weights.read(name)).map((v) => (isOutput.test(name) ? 8 * v : v)),
    },
    pieces: Array.from({ length: NUM_TOKENS }, (_, i) => `${i % 3 === 0 ? "▁" : ""}${String.fromCharCode(97 + i)}`),
  };
}

function headTensors({ joint, prediction }: TransducerSpec): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {
    "ctc_decoder.decoder_layers.0.weight": [NUM_TOKENS + 1, MODEL, 1],
    "ctc_decoder.decoder_layers.0.bias": [NUM_TOKENS + 1],
    "joint.enc.weight": [JOINT, MODEL],
    "joint.enc.bias": [JOINT],
    "joint.pred.weight": [JOINT, HIDDEN],
    "joint.pred.bias": [JOINT],
    "joint.joint_net.2.weight": [joint.numOutputs, JOINT],
    "joint.joint_net.2.bias": [joint.numOutputs],
    "decoder.prediction.embed.weight": [NUM_TOKENS + 1, HIDDEN],
  };
  const numLayers = prediction.kind === "lstm" ? prediction.numLayers : 0;
  for (let layer = 0; layer < numLayers; layer++) {
    for (const part of ["ih", "hh"]) {
      shapes[`decoder.prediction.dec_rnn.lstm.weight_${part}_l${layer}`] = [4 * HIDDEN, HIDDEN];
      shapes[`decoder.prediction.dec_rnn.lstm.bias_${part}_l${layer}`] = [4 * HIDDEN];
    }
  }
  return shapes;
}
