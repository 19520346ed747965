import type { SpeechError } from "../errors.ts";
import { type ConfigBlock, childBlock, modelError, pathOf, targetOf } from "./block.ts";
import { findTensor, type TensorTable } from "./tensor-table.ts";

/** The families of NeMo models that are recognised and not built, and why. */
export const REFUSAL_REASONS = {
  aed: "an attention encoder-decoder (Canary): it writes text with a Transformer decoder, and only CTC and transducer heads are built",
  salm: "a speech language model (SALM, Canary-Qwen): a speech encoder in front of a large language model",
  squeezeformer:
    "a Squeezeformer, whose encoder halves and restores its steps; only Conformer and convolutional encoders are built",
  prompt: "conditioned on a prompt: it needs a language identity mixed into every encoder step",
  "multi-blank": "a multi-blank transducer, whose big blanks skip several steps; RNNT and TDT are decoded",
  hat: "a hybrid autoregressive transducer (HAT), whose blank is scored apart",
  multitalker: "a multi-talker model: it needs a diarizer's speaker activity mixed into its encoder",
  diarizer: "a diarizer: it says who speaks when, not what is said",
  ssl: "a self-supervised encoder: it was trained to fill gaps in speech and has no head that gives text",
  speaker: "a speaker or language embedding model: it gives a vector for a voice, not text",
  slu: "a spoken language understanding model: it gives intents and slots by a Transformer decoder",
  aligner: "an aligner for speech synthesis (TalkNet): it gives phonemes, not text",
  transformer: "built on a Transformer that is no Conformer",
  rnn: "built on a recurrent encoder",
  parallel: "built on parallel convolution towers (ParallelConvASREncoder)",
  "lstm-head": "a CTC model with a recurrent head (LSTMDecoder)",
  regression: "a regression model: it gives one number for a recording",
  tts: "a speech synthesis model or one joined with a recogniser",
  k2: "a model trained and decoded with k2 graphs",
  ensemble: "an ensemble of several models",
  translation: "a speech translation model with a Transformer decoder",
  adapter: "extended by adapters, small layers that were added to a trained model",
} as const;

/** A family that is recognised and not built. */
export type RefusalReason = keyof typeof REFUSAL_REASONS;

/** NeMo's classes that are refused, by name. */
const CLASSES: Readonly<Record<string, RefusalReason>> = {
  EncDecMultiTaskModel: "aed",
  SALM: "salm",
  SALMAutomodel: "salm",
  SALMWithAsrDecoder: "salm",
  DuplexS2SModel: "salm",
  DuplexS2SSpeechDecoderModel: "salm",
  ModularAudioGPTModel: "salm",
  EncDecRNNTBPEModelWithPrompt: "prompt",
  EncDecHybridRNNTCTCBPEModelWithPrompt: "prompt",
  EncDecMultiTalkerRNNTBPEModel: "multitalker",
  SortformerEncLabelModel: "diarizer",
  EncDecDiarLabelModel: "diarizer",
  NeuralDiarizer: "diarizer",
  ClusteringDiarizer: "diarizer",
  SpeechEncDecSelfSupervisedModel: "ssl",
  EncDecDenoiseMaskedTokenPredModel: "ssl",
  EncDecMaskedTokenPredModel: "ssl",
  EncDecSpeakerLabelModel: "speaker",
  ExtractSpeakerEmbeddingsModel: "speaker",
  SLUIntentSlotBPEModel: "slu",
  EncDecTransfModelBPE: "translation",
  EncDecRegressionModel: "regression",
  ASRWithTTSModel: "tts",
  EncDecK2SeqModel: "k2",
  EncDecK2SeqModelBPE: "k2",
  EncDecK2RnntSeqModel: "k2",
  EncDecK2RnntSeqModelBPE: "k2",
  ConfidenceEnsembleModel: "ensemble",
};

/** Modules that make a model one of a refused family, by the class name in `_target_`. */
const MODULES: Readonly<Record<string, RefusalReason>> = {
  SqueezeformerEncoder: "squeezeformer",
  ParallelConvASREncoder: "parallel",
  RNNEncoder: "rnn",
  TransformerEncoder: "transformer",
  TransformerEncoderAdapter: "transformer",
  ConformerMultiLayerFeatureExtractor: "ssl",
  ConformerMultiLayerFeaturePreprocessor: "ssl",
  ConformerEncoderAdapter: "adapter",
  ConvASREncoderAdapter: "adapter",
  SqueezeformerEncoderAdapter: "squeezeformer",
  RNNTDecoderAdapter: "adapter",
  RNNTJointAdapter: "adapter",
  ECAPAEncoder: "speaker",
  SpeakerDecoder: "speaker",
  LSTMDecoder: "lstm-head",
  HATJoint: "hat",
  ConvASRDecoderReconstruction: "ssl",
};

/** Tensors that only a refused family has. */
const TENSORS: readonly (readonly [RegExp, RefusalReason])[] = [
  [/adapter_layer\./, "adapter"],
  [/^(transf_decoder|_timestamps_asr_model)\./, "aed"],
  [/^(lang_id_)?prompt_kernel\./, "prompt"],
  [/^(bg_)?spk_kernels?\./, "multitalker"],
  [/^sortformer_modules\./, "diarizer"],
  [/^decoder\.lstm_layer\./, "lstm-head"],
  [/^joint\.blank_(pred|net|joint)/, "hat"],
  [/^encoder\.layers\.\d+\.scale_(mhsa|conv|ff)/, "squeezeformer"],
];

/** The phonemes of the ARPAbet's vowels, with which the TalkNet aligner's labels are told from letters. */
const ARPABET = ["AA0", "AE1", "AH0", "AO1", "EH1", "ER0", "IY0", "OW1", "UW1"];

/**
 * Refuses the models of NeMo that are known and not built.
 * @throws SpeechError `MODEL_UNSUPPORTED` with a sentence that says what the model is.
 */
export function refuseKnownFamilies(root: ConfigBlock, className: string, table: TensorTable): void {
  const byClass = CLASSES[className];
  if (byClass !== undefined) throw refusal(className, byClass);
  for (const key of ["encoder", "decoder", "joint", "transf_decoder", "head"]) {
    const block = childBlock(root, key);
    const target = block && targetOf(block);
    const reason = target === undefined ? undefined : MODULES[target];
    if (block && reason) throw refusal(`\`${pathOf(root, key)}\` is a ${target}`, reason);
  }
  for (const [pattern, reason] of TENSORS) {
    const name = findTensor(table, pattern);
    if (name !== undefined) throw refusal(`weight \`${name}\``, reason);
  }
}

/** Refuses phoneme labels, by which the aligner of speech synthesis is known: it has an ordinary CTC class. */
export function refusePhonemes(labels: readonly string[]): void {
  const known = new Set(labels);
  if (ARPABET.every((phoneme) => known.has(phoneme))) throw refusal("the labels are ARPAbet phonemes", "aligner");
}

/** The error with which a family is refused. */
export function refusal(what: string, reason: RefusalReason): SpeechError {
  return modelError("MODEL_UNSUPPORTED", `${what}: this model is ${REFUSAL_REASONS[reason]}.`);
}
