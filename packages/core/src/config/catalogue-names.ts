import type { FamilyInfo } from "./catalogue.ts";

const CTC = "EncDecCTCModel";
const CTC_BPE = "EncDecCTCModelBPE";
const RNNT_BPE = "EncDecRNNTBPEModel";
const HYBRID_BPE = "EncDecHybridRNNTCTCBPEModel";
const CLASSIFIER = "EncDecClassificationModel";
const SPEAKER = "EncDecSpeakerLabelModel";

/** What the families of the catalogue are; those with a reason are refused. */
export const CATALOGUE_FAMILIES = {
  "quartznet-ctc": { description: "QuartzNet, CTC over characters", className: CTC },
  "jasper-ctc": { description: "Jasper with dense residuals, CTC over characters", className: CTC },
  "citrinet-ctc-char": { description: "Citrinet, CTC over characters", className: CTC },
  aligner: { description: "QuartzNet, CTC over phonemes", className: CTC, refusal: "aligner" },
  "citrinet-ctc": { description: "Citrinet, CTC", className: CTC_BPE },
  "conformer-ctc": { description: "Conformer, CTC", className: CTC_BPE },
  "conformer-ctc-aggregate": { description: "Conformer, CTC, two languages", className: CTC_BPE },
  "squeezeformer-ctc": { description: "Squeezeformer, CTC", className: CTC_BPE, refusal: "squeezeformer" },
  "fastconformer-ctc": { description: "FastConformer, CTC", className: CTC_BPE },
  "contextnet-rnnt": { description: "ContextNet, RNNT", className: RNNT_BPE },
  "conformer-rnnt": { description: "Conformer, RNNT", className: RNNT_BPE },
  "conformer-rnnt-aggregate": { description: "Conformer, RNNT, two languages", className: RNNT_BPE },
  "conformer-rnnt-char": { description: "Conformer, RNNT over characters", className: "EncDecRNNTModel" },
  "fastconformer-rnnt": { description: "FastConformer, RNNT", className: RNNT_BPE },
  "fastconformer-hybrid": { description: "FastConformer, RNNT and CTC", className: HYBRID_BPE },
  "fastconformer-streaming": { description: "streaming FastConformer, RNNT and CTC", className: HYBRID_BPE },
  "fastconformer-tdt": { description: "FastConformer, TDT", className: RNNT_BPE },
  "fastconformer-tdt-ctc": { description: "FastConformer, TDT and CTC", className: HYBRID_BPE },
  "fastconformer-tdt-ctc-local": {
    description: "FastConformer with local attention, TDT and CTC",
    className: HYBRID_BPE,
  },
  "fastconformer-unified": { description: "FastConformer for offline and streaming, RNNT", className: RNNT_BPE },
  "fastconformer-streaming-rnnt": { description: "streaming FastConformer, RNNT", className: RNNT_BPE },
  eou: { description: "streaming FastConformer, RNNT with `<EOU>`", className: "EncDecRNNTBPEEOUModel" },
  "marblenet-mfcc": { description: "MarbleNet over MFCCs, voice activity", className: CLASSIFIER },
  marblenet: { description: "MarbleNet, voice activity", className: CLASSIFIER },
  "marblenet-frame": {
    description: "MarbleNet, voice activity per frame",
    className: "EncDecFrameClassificationModel",
  },
  matchboxnet: { description: "MatchboxNet over MFCCs, commands", className: CLASSIFIER },
  ssl: { description: "Conformer encoder", className: "SpeechEncDecSelfSupervisedModel", refusal: "ssl" },
  slu: { description: "Conformer with a Transformer decoder", className: "SLUIntentSlotBPEModel", refusal: "slu" },
  speakernet: { description: "SpeakerNet embeddings", className: SPEAKER, refusal: "speaker" },
  ecapa: { description: "ECAPA-TDNN embeddings", className: SPEAKER, refusal: "speaker" },
  titanet: { description: "TitaNet embeddings", className: SPEAKER, refusal: "speaker" },
  ambernet: { description: "AmberNet, language identity", className: SPEAKER, refusal: "speaker" },
  msdd: { description: "multi-scale diarization decoder", className: "EncDecDiarLabelModel", refusal: "diarizer" },
  sortformer: { description: "Sortformer diarizer", className: "SortformerEncLabelModel", refusal: "diarizer" },
  prompt: {
    description: "streaming FastConformer with language prompts, RNNT",
    className: "EncDecRNNTBPEModelWithPrompt",
    refusal: "prompt",
  },
  multitalker: {
    description: "streaming FastConformer with speaker kernels, RNNT",
    className: "EncDecMultiTalkerRNNTBPEModel",
    refusal: "multitalker",
  },
  canary: {
    description: "FastConformer with a Transformer decoder",
    className: "EncDecMultiTaskModel",
    refusal: "aed",
  },
  "canary-qwen": { description: "FastConformer in front of Qwen3", className: "SALM", refusal: "salm" },
} as const satisfies Record<string, FamilyInfo>;

type NameTable = readonly (readonly [keyof typeof CATALOGUE_FAMILIES, ...string[]])[];

/** Names that NeMo's source registers (`list_available_models` of asr/models/*.py, main of September 2025): 127. */
export const REGISTERED: NameTable = [
  ["quartznet-ctc", "QuartzNet15x5Base-En", "stt_en_quartznet15x5", "stt_{ca,it,fr,es,de,pl,ru}_quartznet15x5"],
  ["jasper-ctc", "stt_en_jasper10x5dr"],
  ["citrinet-ctc-char", "stt_zh_citrinet_512", "stt_zh_citrinet_1024_gamma_0_25"],
  ["aligner", "asr_talknet_aligner"],
  [
    "citrinet-ctc",
    "stt_en_citrinet_{256,512,1024}{,_gamma_0_25}",
    ...["stt_es_citrinet_512", "stt_de_citrinet_1024", "stt_{fr,fr_no_hyphen,es}_citrinet_1024_gamma_0_25"],
  ],
  [
    "conformer-ctc",
    "stt_en_conformer_ctc_{small,medium,large,xlarge}{,_ls}",
    "stt_{fr,fr_no_hyphen,de,es,ca,rw,be,hr,it,ru,eo}_conformer_ctc_large",
    "stt_{hi,mr}_conformer_ctc_medium",
  ],
  ["conformer-ctc-aggregate", "stt_enes_conformer_ctc_large{,_codesw}"],
  ["squeezeformer-ctc", "stt_en_squeezeformer_ctc_{xsmall,small,small_medium,medium,medium_large,large}_ls"],
  ["fastconformer-ctc", "stt_en_fastconformer_ctc_{large,large_ls,xlarge,xxlarge}"],
  [
    "contextnet-rnnt",
    "stt_en_contextnet_{256,512,1024}{,_mls}",
    "stt_{de,fr,es}_contextnet_1024",
    "stt_enes_contextnet_large",
  ],
  [
    "conformer-rnnt",
    "stt_en_conformer_transducer_{small,medium,large,large_ls,xlarge,xxlarge}",
    "stt_{de,fr,es,ca,rw,kab,be,hr,it,ru,eo}_conformer_transducer_large",
  ],
  ["conformer-rnnt-aggregate", "stt_enes_conformer_transducer_large{,_codesw}"],
  ["conformer-rnnt-char", "stt_zh_conformer_transducer_large"],
  ["fastconformer-rnnt", "stt_en_fastconformer_transducer_{large,large_ls,xlarge,xxlarge}"],
  [
    "fastconformer-hybrid",
    "stt_{en,de,it,es,hr,ua,pl,by,ru,fr}_fastconformer_hybrid_large_pc",
    "stt_multilingual_fastconformer_hybrid_large_pc{,_blend_eu}",
  ],
  ["fastconformer-streaming", "stt_en_fastconformer_hybrid_large_streaming_{80ms,480ms,1040ms,multi}"],
  ["fastconformer-tdt-ctc", "parakeet-tdt_ctc-110m"],
  ["marblenet", "vad_multilingual_marblenet"],
  ["marblenet-mfcc", "vad_telephony_marblenet", "vad_marblenet"],
  ["marblenet-frame", "vad_multilingual_frame_marblenet"],
  ["matchboxnet", "commandrecognition_en_matchboxnet3x{1,2}x64_{v1,v2,v2_subset_task}"],
  ["ssl", "ssl_en_conformer_{large,xlarge}"],
  ["slu", "slu_conformer_transformer_large_slurp"],
  ["speakernet", "speakerverification_speakernet"],
  ["ecapa", "ecapa_tdnn"],
  ["titanet", "titanet_{large,small}"],
  ["ambernet", "langid_ambernet"],
  ["msdd", "diar_msdd_telephonic"],
];

/** Models that NVIDIA has published on the hub without registering them. */
export const MODERN: NameTable = [
  ["fastconformer-tdt", "parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v3", "parakeet-tdt-1.1b"],
  ["fastconformer-tdt-ctc-local", "parakeet-tdt_ctc-1.1b"],
  ["fastconformer-tdt-ctc", "parakeet-tdt_ctc-0.6b-ja"],
  ["fastconformer-rnnt", "parakeet-rnnt-{0.6b,1.1b}"],
  ["fastconformer-ctc", "parakeet-ctc-{0.6b,1.1b}"],
  ["fastconformer-unified", "parakeet-unified-en-0.6b"],
  ["fastconformer-streaming", "stt_en_fastconformer_hybrid_medium_streaming_80ms{,_pc}"],
  ["eou", "parakeet_realtime_eou_120m-v1"],
  ["fastconformer-streaming-rnnt", "nemotron-speech-streaming-en-0.6b"],
  ["prompt", "nemotron-3.5-asr-streaming-0.6b"],
  ["multitalker", "multitalker-parakeet-streaming-0.6b-v1"],
  ["marblenet-frame", "Frame_VAD_Multilingual_MarbleNet_v2.0"],
  ["canary", "canary-1b", "canary-1b-flash", "canary-1b-v2", "canary-180m-flash"],
  ["canary-qwen", "canary-qwen-2.5b"],
  ["sortformer", "diar_sortformer_4spk-v1", "diar_streaming_sortformer_4spk-{v2,v2.1}"],
];
