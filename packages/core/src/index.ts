export * from "./architectures/net.ts";
export * from "./audio/channels.ts";
export * from "./audio/g711.ts";
export * from "./audio/inspect.ts";
export * from "./audio/pcm.ts";
export * from "./audio/resample.ts";
export * from "./audio/wav.ts";
export * from "./audio/wav-stream.ts";
export * from "./audio/wav-writer.ts";
export * from "./bytes.ts";
export * from "./checkpoint/checkpoint.ts";
export * from "./checkpoint/gzip.ts";
export * from "./checkpoint/nemo.ts";
export * from "./checkpoint/safetensors.ts";
export * from "./config/catalogue.ts";
export * from "./config/contexts.ts";
export * from "./config/describe.ts";
export * from "./config/geometry.ts";
export * from "./config/refusals.ts";
export * from "./config/spec.ts";
export * from "./config/streaming.ts";
export * from "./decoding/hypothesis.ts";
export * from "./errors.ts";
export * from "./export/export.ts";
export * from "./export/graphs.ts";
export * from "./export/layouts.ts";
export * from "./export/manifest.ts";
export * from "./features/checkpoint-tensors.ts";
export * from "./features/extractor.ts";
export * from "./features/stream.ts";
export type { Attribute, Branch, Dim, Graph, GraphNode, Initializer, Port } from "./onnx/graph.ts";
export * from "./onnx/write.ts";
export * from "./recognition/acoustic.ts";
export * from "./recognition/batching.ts";
export * from "./recognition/classifier.ts";
export * from "./recognition/folder.ts";
export * from "./recognition/foreign.ts";
export * from "./recognition/head-decoder.ts";
export * from "./recognition/long-form.ts";
export * from "./recognition/open-checkpoint.ts";
export * from "./recognition/package.ts";
export * from "./recognition/recognizer.ts";
export * from "./recognition/stages.ts";
export * from "./recognition/verify.ts";
export { type Check, type Reference, referenceRecordings } from "./recognition/verify-checks.ts";
export * from "./runtime.ts";
export * from "./sources.ts";
export {
  ArgumentError,
  checkArgument,
  checkCounts,
  checkNumbers,
  checkObject,
  checkOpenArguments,
  checkPacket,
  checkWord,
} from "./streaming/arguments.ts";
export { checkSamples } from "./streaming/audio-intake.ts";
export * from "./streaming/batch.ts";
export * from "./streaming/buffered-modes.ts";
export * from "./streaming/local-engine.ts";
export { lanesOf } from "./streaming/modes.ts";
export * from "./streaming/open-engine.ts";
export * from "./streaming/open-speech-engine.ts";
export { savedStreamOptions } from "./streaming/saved-stream.ts";
export * from "./streaming/silence.ts";
export * from "./streaming/step-costs.ts";
export * from "./streaming/stream.ts";
export * from "./streaming/stream-set.ts";
export {
  dumpStream,
  type StreamedRecording,
  type StreamedStages,
  streamRecordings,
} from "./streaming/streamed-stages.ts";
export * from "./streaming/transcription.ts";
export { referenceContexts, verifyStreams } from "./streaming/verify-streams.ts";
export * from "./streaming/voice/open.ts";
export type { SavedVoice, VoiceSource, VoiceStream } from "./streaming/voice/voice.ts";
export * from "./tensor.ts";
export * from "./tokenizer/tokenizer.ts";
export * from "./transcript/calibration.ts";
export * from "./transcript/cues.ts";
export * from "./transcript/error-rate.ts";
export * from "./transcript/fit-calibration.ts";
export * from "./transcript/formats.ts";
export * from "./transcript/normalize.ts";
export * from "./transcript/transcript.ts";
export * from "./vad/segments.ts";
export * from "./vad/speech-tracker.ts";
