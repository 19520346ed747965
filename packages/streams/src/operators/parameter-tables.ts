import { CHANNEL_ROLES } from "../spl/schemas.ts";
import type { OperatorSpec } from "./parameters.ts";

const RATE = { type: "int32", min: 8000, max: 48_000 } as const;
const TARGET_RATE = {
  type: "int32",
  default: 0,
  off: 0,
  min: 8000,
  max: 48_000,
  effect: "used",
  text: "Rate of the output, in Hz; 0 leaves it as it is.",
} as const;
const ROLE = { type: "rstring", choices: CHANNEL_ROLES, effect: "used" } as const;
const ENCODING = {
  type: "rstring",
  choices: ["pcm16", "pcm8", "ulaw", "alaw"],
  default: "pcm16",
  effect: "used",
} as const;
const AUDIO_IN = ["blob audioChunk, uint64 audioTimestamp"];

/** The format names of `audioFormat`, and the rate of each. */
export const AUDIO_FORMAT_RATES = {
  mono8k: 8000,
  mono16k: 16_000,
  mono22k: 22_050,
  mono44k: 44_100,
  mono48k: 48_000,
} as const;

/** `NeMoSTT`. */
export const NEMO_STT = {
  name: "NeMoSTT",
  inputs: AUDIO_IN,
  outputs: ["rstring transcription"],
  parameters: {
    modelPath: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "A .nemo file, an exported folder, an .onnx file or a pulled name; ignored, and told so, where the service holds the model.",
    },
    tokensPath: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "Ignored, and told so: a model has its tokens in its .nemo file, or beside its .onnx file.",
    },
    modelType: {
      type: "rstring",
      effect: "ignored",
      text: "the model's kind is read from the checkpoint or the graph.",
    },
    enableCaching: { type: "boolean", effect: "ignored", text: "a streaming model always keeps its caches." },
    cacheSize: {
      type: "int32",
      default: 64,
      effect: "ignored",
      text: "the size of the caches follows from the model.",
    },
    attContextLeft: {
      type: "int32",
      default: 70,
      min: -1,
      max: 10_000,
      effect: "used",
      text: "Encoder steps of 80 ms that are looked back; together with attContextRight one of the model's latency modes.",
    },
    attContextRight: {
      type: "int32",
      min: -1,
      max: 10_000,
      effect: "used",
      text: "Encoder steps of 80 ms that are looked ahead (0, 1, 6, 13): the latency. The model's default unless told.",
    },
    sampleRate: {
      ...RATE,
      default: 16_000,
      effect: "used",
      text: "Rate of the sound, in Hz; resampled to the model's.",
    },
    provider: { type: "rstring", effect: "ignored", text: "graphs run on the CPU." },
    numThreads: {
      type: "int32",
      default: 4,
      min: 1,
      max: 1024,
      effect: "ignored",
      text: "all streams share the engine's threads.",
    },
    audioFormat: {
      type: "rstring",
      choices: Object.keys(AUDIO_FORMAT_RATES) as (keyof typeof AUDIO_FORMAT_RATES)[],
      default: "mono16k",
      effect: "used",
      text: "Another way to tell the rate; refused where it contradicts sampleRate.",
    },
    chunkDurationMs: {
      type: "int32",
      default: 5000,
      min: 1,
      max: 3_600_000,
      effect: "ignored",
      text: "the chunk follows from the latency mode.",
    },
    minSpeechDurationMs: {
      type: "int32",
      default: 500,
      min: 0,
      max: 3_600_000,
      effect: "used",
      text: "Where it is given, finals whose words last less are dropped. Not given nothing is dropped: the original never read it, and a short yes is an answer.",
    },
  },
} as const satisfies OperatorSpec;

/** `OnnxSTT`. */
export const ONNX_STT = {
  name: "OnnxSTT",
  inputs: AUDIO_IN,
  outputs: ["rstring text, boolean isFinal, float64 confidence"],
  parameters: {
    encoderModel: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "An .onnx file exported by NeMo, sherpa-onnx or us, a folder of them, or a .nemo file.",
    },
    vocabFile: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "Ignored, and told so: a model has its tokens beside its .onnx file, or in its .nemo file.",
    },
    cmvnFile: {
      type: "rstring",
      isRequired: true,
      choices: ["none"],
      effect: "used",
      text: "Only none: NeMo's models have no such file.",
    },
    sampleRate: {
      ...RATE,
      default: 16_000,
      effect: "used",
      text: "Rate of the sound, in Hz; resampled to the model's.",
    },
    chunkSizeMs: {
      type: "int32",
      default: 100,
      min: 1,
      max: 3_600_000,
      effect: "ignored",
      text: "the chunk follows from the model's latency mode.",
    },
    provider: {
      type: "rstring",
      choices: ["CPU", "CUDA", "TensorRT"],
      effect: "ignored",
      text: "graphs run on the CPU.",
    },
    numThreads: {
      type: "int32",
      default: 4,
      min: 1,
      max: 1024,
      effect: "ignored",
      text: "all streams share the engine's threads.",
    },
    modelType: {
      type: "rstring",
      choices: ["CACHE_AWARE_CONFORMER", "NEMO_CTC"],
      effect: "ignored",
      text: "the model's kind is read from the graph.",
    },
    blankId: {
      type: "int32",
      default: 0,
      min: 0,
      max: 1_000_000,
      effect: "checked",
      text: "The blank is read from the model; a value that is given and differs is told.",
    },
    streamingMode: { type: "boolean", default: false, effect: "ignored", text: "interim results always come." },
    chunkOverlapMs: {
      type: "int32",
      default: 50,
      min: 0,
      max: 3_600_000,
      effect: "ignored",
      text: "nothing overlaps: the encoder keeps its caches.",
    },
  },
} as const satisfies OperatorSpec;

/** `AudioChannelSplitter`. */
export const AUDIO_CHANNEL_SPLITTER = {
  name: "AudioChannelSplitter",
  inputs: ["blob audioData, uint64 audioTimestamp"],
  outputs: ["ChannelAudioStream", "ChannelAudioStream"],
  parameters: {
    stereoFormat: {
      type: "rstring",
      choices: ["interleaved", "nonInterleaved"],
      default: "interleaved",
      effect: "used",
      text: "Whether left and right samples take turns, or each block holds all left samples, then all right.",
    },
    encoding: { ...ENCODING, text: "How samples are encoded; the output is 16-bit PCM, little-endian." },
    leftChannelRole: { ...ROLE, default: "caller", text: "Who speaks on channel 0." },
    rightChannelRole: { ...ROLE, default: "agent", text: "Who speaks on channel 1." },
    sampleRate: { ...RATE, default: 8000, effect: "used", text: "Rate of the input, in Hz." },
    targetSampleRate: TARGET_RATE,
  },
} as const satisfies OperatorSpec;

/** `FileAudioSource`. */
export const FILE_AUDIO_SOURCE = {
  name: "FileAudioSource",
  inputs: [],
  outputs: ["blob audioChunk, uint64 audioTimestamp"],
  parameters: {
    filename: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "WAV, FLAC, MP3, OGG and others by content; otherwise samples without a header.",
    },
    blockSize: { type: "int32", default: 3200, min: 1, max: 8_388_608, effect: "used", text: "Bytes of a tuple." },
    sampleRate: {
      type: "int32",
      default: 16_000,
      min: 1000,
      max: 768_000,
      effect: "used",
      text: "Rate of samples without a header, and of the output, in Hz: a file of another rate is resampled.",
    },
    bitsPerSample: {
      type: "int32",
      default: 16,
      min: 8,
      max: 32,
      effect: "used",
      text: "Bits of samples without a header: 8, 16, 24 or 32. The output has 16.",
    },
    channelCount: {
      type: "int32",
      default: 1,
      min: 1,
      max: 256,
      effect: "used",
      text: "Channels of samples without a header, and of the output: a file of another number is mixed to one, or its one repeated.",
    },
  },
} as const satisfies OperatorSpec;

/** `StereoFileAudioSource`. */
export const STEREO_FILE_AUDIO_SOURCE = {
  name: "StereoFileAudioSource",
  inputs: [],
  outputs: ["ChannelAudioStream", "ChannelAudioStream"],
  parameters: {
    filename: {
      type: "rstring",
      isRequired: true,
      effect: "used",
      text: "A recording of two channels, of any format; otherwise samples without a header.",
    },
    blockSize: {
      type: "int32",
      default: 16_000,
      min: 1,
      max: 8_388_608,
      effect: "used",
      text: "Bytes of both channels that make a pair of tuples.",
    },
    leftChannelRole: { ...ROLE, default: "caller", text: "Who speaks on channel 0." },
    rightChannelRole: { ...ROLE, default: "agent", text: "Who speaks on channel 1." },
    encoding: { ...ENCODING, text: "Of samples without a header; a header says it itself." },
    sampleRate: {
      ...RATE,
      default: 8000,
      effect: "used",
      text: "Of samples without a header, in Hz; a header says it itself.",
    },
    targetSampleRate: TARGET_RATE,
  },
} as const satisfies OperatorSpec;

/** `VAD`: the original's interface of a detector, as an operator. */
export const VAD = {
  name: "VAD",
  inputs: AUDIO_IN,
  outputs: ["boolean isSpeech, float64 confidence, uint64 timestamp"],
  parameters: {
    modelPath: {
      type: "rstring",
      effect: "used",
      text: "A NeMo classifier (MarbleNet) as .nemo; the bundled one unless told.",
    },
    method: {
      type: "rstring",
      choices: ["model", "energy"],
      default: "model",
      effect: "used",
      text: "energy is the original's gate (half the mean of the last ten windows, at least 0.001), only where it is asked for.",
    },
    sampleRate: {
      ...RATE,
      default: 16_000,
      effect: "used",
      text: "Rate of the sound, in Hz; resampled to the model's.",
    },
    windowMs: {
      type: "int32",
      default: 64,
      min: 10,
      max: 10_000,
      effect: "used",
      text: "Stretch that one result is about.",
    },
    shiftMs: { type: "int32", default: 16, min: 1, max: 10_000, effect: "used", text: "Distance of results." },
    threshold: {
      type: "float64",
      default: 0.5,
      min: 0,
      max: 1,
      effect: "used",
      text: "Probability from which it is speech; with energy, 0.5 is the original's gate, and more needs more above it.",
    },
  },
} as const satisfies OperatorSpec;

/** All operators. */
export const OPERATORS: readonly OperatorSpec[] = [
  NEMO_STT,
  ONNX_STT,
  AUDIO_CHANNEL_SPLITTER,
  FILE_AUDIO_SOURCE,
  STEREO_FILE_AUDIO_SOURCE,
  VAD,
];
