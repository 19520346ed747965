import type { CatalogueFamily } from "../../src/config/catalogue.ts";
import { ASR, type Block, conformer, convAsr, melFrontEnd, mfccFrontEnd, tensorMap } from "./synthetic.ts";
import {
  BPE,
  charModel,
  classifier,
  ctcModel,
  hybridModel,
  model,
  PIECES,
  rnntModel,
  type Synthetic,
} from "./synthetic-models.ts";

const QUARTZNET: Block[] = [
  { filters: 16, kernel: 33, stride: 2, residual: false },
  { filters: 16, kernel: 33, repeat: 2 },
  { filters: 24, kernel: 87, dilation: 2, residual: false },
  { filters: 24, kernel: 1, residual: false, separable: false },
];
const JASPER: Block[] = [
  { filters: 16, kernel: 11, stride: 2, residual: false, separable: false },
  { filters: 16, kernel: 11, repeat: 2, separable: false, dense: true },
  { filters: 24, kernel: 13, repeat: 2, separable: false, dense: true },
  { filters: 24, kernel: 29, dilation: 2, residual: false, separable: false },
];
const CITRINET: Block[] = [
  { filters: 16, kernel: 5, residual: false, se: true },
  { filters: 16, kernel: 11, repeat: 2, stride: 2, se: true, rest: { stride_last: true, residual_mode: "stride_add" } },
  { filters: 16, kernel: 13, repeat: 2, se: true, rest: { kernel_size_factor: 0.25 } },
];
const CONTEXTNET: Block[] = [
  { filters: 16, kernel: 5, residual: false, se: true, rest: { kernel_size_factor: 1 } },
  { filters: 16, kernel: 5, repeat: 2, stride: 2, se: true, rest: { stride_last: true, residual_mode: "stride_add" } },
  { filters: 24, kernel: 5, residual: false, se: true, rest: { se_context_size: 256 } },
];
const MARBLENET: Block[] = [
  { filters: 16, kernel: 11, stride: 2, residual: false },
  { filters: 8, kernel: 13, repeat: 2 },
  { filters: 16, kernel: 29, dilation: 2, residual: false },
  { filters: 16, kernel: 1, residual: false, separable: false },
];
const MATCHBOXNET: Block[] = MARBLENET.map((block) => ({ ...block, stride: 1 }));

const fast = { subsampling: "dw_striding", factor: 8, channels: 4 };
const streaming = {
  ...{ ...fast, isCausal: true, norm: "layer_norm" },
  rest: {
    conv_context_size: "causal",
    att_context_style: "chunked_limited",
    att_context_size: [
      [70, 13],
      [70, 1],
    ],
  },
};
const na = (mels = 80) => melFrontEnd(mels, { normalize: "NA" });
const DURATIONS = [0, 1, 2, 3, 4];
const PHONEMES = ["AA0", "AE1", "AH0", "AO1", "EH1", "ER0", "IY0", "OW1", "UW1", "B", "CH", " "];
const HANZI = ["我", "你", "他"];

/** Renames a model's class, for those whose other parts say nothing of what they are. */
function named(className: string, synthetic: Synthetic): Synthetic {
  return { ...synthetic, config: { ...synthetic.config, target: `${ASR}.models.x.${className}` } };
}

/** Puts another module's class into a model. */
function withModule(key: string, target: string, synthetic: Synthetic): Synthetic {
  const block = { ...(synthetic.config[key] as object), _target_: `${ASR}.modules.${target}` };
  return { ...synthetic, config: { ...synthetic.config, [key]: block } };
}

function withTensors(synthetic: Synthetic, shapes: Record<string, number[]>): Synthetic {
  return { ...synthetic, tensors: new Map([...synthetic.tensors, ...tensorMap(shapes)]) };
}

const aggregate = (synthetic: Synthetic): Synthetic => {
  const langs = { en: BPE, es: { ...BPE, model_path: "nemo:4567_tokenizer.model" } };
  return { ...synthetic, config: { ...synthetic.config, tokenizer: { type: "agg", langs } } };
};

const speaker = (target: string): Synthetic => {
  const head = { config: { decoder: { _target_: `${ASR}.modules.SpeakerDecoder` } }, shapes: {} };
  const encoder = target === "ConvASREncoder" ? convAsr(QUARTZNET) : conformer();
  return withModule("encoder", target, model("EncDecSpeakerLabelModel", melFrontEnd(), encoder, head));
};

/** A small model of every family of the catalogue, with what makes the family what it is. */
export const FAMILIES: Readonly<Record<CatalogueFamily, () => Synthetic>> = {
  "quartznet-ctc": () => charModel(convAsr(QUARTZNET, 64), melFrontEnd(64)),
  "jasper-ctc": () => charModel(convAsr(JASPER, 64), melFrontEnd(64)),
  "citrinet-ctc-char": () => charModel(convAsr(CITRINET), melFrontEnd(), HANZI),
  aligner: () => charModel(convAsr(QUARTZNET, 64), melFrontEnd(64), PHONEMES),
  "citrinet-ctc": () => ctcModel(convAsr(CITRINET)),
  "conformer-ctc": () => ctcModel(conformer({ kernel: 31 })),
  "conformer-ctc-aggregate": () => aggregate(ctcModel(conformer({ kernel: 31 }))),
  "squeezeformer-ctc": () => withModule("encoder", "SqueezeformerEncoder", ctcModel(conformer())),
  "fastconformer-ctc": () => ctcModel(conformer(fast)),
  "contextnet-rnnt": () => rnntModel(convAsr(CONTEXTNET)),
  "conformer-rnnt": () => rnntModel(conformer({ kernel: 31 })),
  "conformer-rnnt-aggregate": () => aggregate(rnntModel(conformer({ kernel: 31 }))),
  "conformer-rnnt-char": () => named("EncDecRNNTModel", rnntModel(conformer({ kernel: 31 }))),
  "fastconformer-rnnt": () => rnntModel(conformer(fast), { layers: 2 }),
  "fastconformer-hybrid": () => hybridModel(conformer(fast)),
  "fastconformer-streaming": () => hybridModel(conformer(streaming), {}, na()),
  "fastconformer-tdt": () =>
    rnntModel(
      conformer({ ...fast, mels: 128, hasBias: false, rest: { xscaling: false } }),
      { layers: 2, durations: DURATIONS },
      melFrontEnd(128),
    ),
  "fastconformer-tdt-ctc": () => hybridModel(conformer(fast), { durations: DURATIONS }),
  "fastconformer-tdt-ctc-local": () =>
    hybridModel(conformer({ ...fast, attention: "rel_pos_local_attn", rest: { att_context_size: [128, 128] } }), {
      durations: DURATIONS,
    }),
  "fastconformer-unified": () => {
    const chunks = { att_chunk_context_size: [[70], [1, 2, 7, 13], [0, 1, 3]], conv_context_style: "dcc" };
    const rest = { att_context_style: "chunked_limited_with_rc", att_context_size: [-1, -1, -1], ...chunks };
    return rnntModel(conformer({ ...fast, mels: 128, rest }), { layers: 2 }, melFrontEnd(128));
  },
  "fastconformer-streaming-rnnt": () =>
    rnntModel(conformer({ ...streaming, mels: 128, hasBias: false }), { layers: 2 }, na(128)),
  eou: () => rnntModel(conformer({ ...streaming, mels: 128 }), {}, na(128), "EncDecRNNTBPEEOUModel"),
  "marblenet-mfcc": () => classifier(convAsr(MATCHBOXNET, 64), mfccFrontEnd(), ["background", "speech"]),
  marblenet: () => classifier(convAsr(MATCHBOXNET), melFrontEnd(), ["background", "speech"]),
  "marblenet-frame": () => classifier(convAsr(MARBLENET), melFrontEnd(80, { normalize: "None" }), ["0", "1"], true),
  matchboxnet: () => classifier(convAsr(MATCHBOXNET, 64), mfccFrontEnd(), ["yes", "no", "up"]),
  ssl: () => named("SpeechEncDecSelfSupervisedModel", ctcModel(conformer())),
  slu: () => named("SLUIntentSlotBPEModel", ctcModel(conformer())),
  speakernet: () => speaker("ConvASREncoder"),
  ecapa: () => speaker("ECAPAEncoder"),
  titanet: () => speaker("ConvASREncoder"),
  ambernet: () => speaker("ConvASREncoder"),
  msdd: () => named("EncDecDiarLabelModel", speaker("ConvASREncoder")),
  sortformer: () => named("SortformerEncLabelModel", ctcModel(conformer(fast))),
  prompt: () =>
    withTensors(
      rnntModel(conformer({ ...streaming, mels: 128 }), { layers: 2 }, na(128), "EncDecRNNTBPEModelWithPrompt"),
      { "prompt_kernel.0.weight": [16, 136], "prompt_kernel.0.bias": [16] },
    ),
  multitalker: () =>
    withTensors(
      rnntModel(conformer({ ...streaming, mels: 128 }), { layers: 2 }, na(128), "EncDecMultiTalkerRNNTBPEModel"),
      { "spk_kernels.0.0.weight": [8, 8], "spk_kernels.0.0.bias": [8] },
    ),
  canary: () =>
    withTensors(named("EncDecMultiTaskModel", ctcModel(conformer({ ...fast, mels: 128 }), melFrontEnd(128))), {
      "transf_decoder._embedding.token_embedding.weight": [PIECES.length, 8],
    }),
  "canary-qwen": () => named("SALM", ctcModel(conformer({ ...fast, mels: 128 }), melFrontEnd(128))),
};
