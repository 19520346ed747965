import type { ConformerSpec } from "../config/spec.ts";
import { streamGeometry } from "../config/streaming.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { OpenHypothesis } from "../decoding/open-hypothesis.ts";
import { outputSize } from "../export/graphs.ts";
import { createFeatureExtractor, type FeatureExtractor } from "../features/extractor.ts";
import { createFeatureStream } from "../features/stream.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { Head } from "../recognition/head-decoder.ts";
import type { ModelPackage } from "../recognition/package.ts";
import { float32, int64, type Tensor } from "../tensor.ts";
import type { SavedCache } from "./cache-pool.ts";
import { hypothesisOf, type Lane } from "./lane.ts";
import type { OpenStreamSet } from "./open-engine.ts";

/** One recording that is streamed for comparison. */
export interface StreamedRecording {
  /** At the model's rate. */
  readonly waveform: Float32Array;
  readonly attContext?: readonly number[];
  readonly head?: Head;
  /** Samples of one packet; the whole recording in one unless told. */
  readonly packetSamples?: number;
  /** Packets of the others that come before this one's first, so that streams of one batch are at different places. */
  readonly numWaited?: number;
}

/** Everything that a stream computes between samples and tokens, its tail included. */
export interface StreamedStages {
  readonly numSteps: number;
  /** `[model, step]` */
  readonly encoded: Float32Array;
  /** `[step, class]`, models with CTC */
  readonly logProbs: Float32Array | undefined;
  readonly head: Head;
  readonly hypothesis: Pick<Hypothesis, "tokens" | "steps" | "durations">;
  /** What the encoder remembers behind the last step. */
  readonly cache: SavedCache;
}

interface UnderWay {
  readonly id: number;
  readonly recording: StreamedRecording;
  readonly collected: Collector;
  position: number;
  hasFinished: boolean;
}

/**
 * Streams recordings side by side, each in packets of its own size, and keeps every step: streams of any modes, heads and
 * places share batches. The streams are open in the set until all of them have ended.
 */
export async function streamRecordings(
  { set, parts }: OpenStreamSet,
  recordings: readonly StreamedRecording[],
): Promise<StreamedStages[]> {
  const streams: UnderWay[] = recordings.map((recording, id) => {
    const collected = createCollector();
    const { attContext, head } = recording;
    // No rule cuts finals: the hypothesis stays whole until the end.
    const endpoint = { silence: "none", maxUtteranceSec: Number.POSITIVE_INFINITY } as const;
    set.open(id, { attContext, head, endpoint }, () => {}, undefined, collected.take);
    return { id, recording, collected, position: 0, hasFinished: false };
  });
  for (let round = 0; streams.some(({ id }) => !set.hasEnded(id)); round++) {
    for (const stream of streams) if (round >= (stream.recording.numWaited ?? 0)) feedNext(set, stream);
    while (set.hasWork) await set.runBatch();
  }
  const { pool } = parts.encoder;
  const stages = streams.map(({ collected }) => collected.finish((lane) => pool.save(lane.slot)));
  for (const { id } of streams) set.close(id);
  return stages;
}

function feedNext(set: OpenStreamSet["set"], stream: UnderWay): void {
  const { id, recording, position } = stream;
  const { waveform, packetSamples = Math.max(1, waveform.length) } = recording;
  if (position < waveform.length) {
    set.feed(id, waveform.subarray(position, position + packetSamples));
    stream.position += packetSamples;
  } else if (!stream.hasFinished) {
    stream.hasFinished = true;
    set.finish(id);
  }
}

interface Collector {
  take(encoded: Encoded, row: number, lane: Lane): void;
  finish(save: (lane: Lane) => SavedCache): StreamedStages;
}

/** Copies the steps of one stream out of its batches. */
function createCollector(): Collector {
  const encoded: Float32Array[] = [];
  const logProbs: Float32Array[] = [];
  const found = { tokens: [] as number[], steps: [] as number[], durations: [] as number[] };
  let numSteps = 0;
  let last: Lane | undefined;
  return {
    take(batch, row, lane) {
      last = lane;
      const count = batch.lengths[row];
      encoded.push(modelRows(batch, row, count));
      if (batch.logProbs) logProbs.push(stepsOf(batch.logProbs, batch, row, count));
      addTokens(found, hypothesisOf(lane), numSteps);
      numSteps += count;
    },
    finish(save) {
      const isTransducer = last?.decoder.head === "transducer";
      const hasDurations = last !== undefined && hypothesisOf(last).durations !== undefined;
      return {
        numSteps,
        encoded: joinModelRows(encoded, numSteps),
        logProbs: logProbs.length > 0 ? joined(logProbs) : undefined,
        head: isTransducer ? "transducer" : "ctc",
        hypothesis: { tokens: found.tokens, steps: found.steps, ...(hasDurations && { durations: found.durations }) },
        cache: last ? save(last) : { numSteps: 0, rows: new Float32Array(0) },
      };
    },
  };
}

/** Takes over the tokens of the steps from `firstStep` on: those before are known, and may have been forgotten. */
function addTokens(
  found: { tokens: number[]; steps: number[]; durations: number[] },
  { tokens, steps, durations }: OpenHypothesis,
  firstStep: number,
): void {
  const from = steps.findIndex((step) => step >= firstStep);
  if (from < 0) return;
  found.tokens.push(...tokens.slice(from));
  found.steps.push(...steps.slice(from));
  if (durations) found.durations.push(...durations.slice(from));
}

/** The valid steps of a row, `[model, step]`. */
function modelRows({ encoded, numSteps, lengths }: Encoded, row: number, count: number): Float32Array {
  const size = encoded.length / (numSteps * lengths.length);
  const out = new Float32Array(size * count);
  for (let m = 0; m < size; m++) {
    const start = (row * size + m) * numSteps;
    out.set(encoded.subarray(start, start + count), m * count);
  }
  return out;
}

/** The valid steps of a row of `[batch, step, …]`. */
function stepsOf(data: Float32Array, { numSteps, lengths }: Encoded, row: number, count: number): Float32Array {
  const size = data.length / (numSteps * lengths.length);
  return data.slice(row * numSteps * size, (row * numSteps + count) * size);
}

/** Chunks `[model, step]` one behind the other. */
function joinModelRows(chunks: readonly Float32Array[], numSteps: number): Float32Array {
  const size = numSteps > 0 ? chunks.reduce((sum, chunk) => sum + chunk.length, 0) / numSteps : 0;
  const out = new Float32Array(size * numSteps);
  let step = 0;
  for (const chunk of chunks) {
    const count = chunk.length / size;
    for (let m = 0; m < size; m++) out.set(chunk.subarray(m * count, (m + 1) * count), m * numSteps + step);
    step += count;
  }
  return out;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Features of a recording that comes in packets, `[mel, frame]` with the columns of padding that `extract` has. */
export function streamFeatures(
  extractor: FeatureExtractor,
  waveform: Float32Array,
  packetSamples: number = Math.max(1, waveform.length),
): { data: Float32Array; numFrames: number; validFrames: number } {
  const frames: Float32Array[] = [];
  const stream = createFeatureStream(extractor);
  const keep = (frame: Float32Array) => void frames.push(frame.slice());
  for (let at = 0; at < waveform.length; at += packetSamples) {
    stream.feed(waveform.subarray(at, at + packetSamples), keep);
  }
  const { numFrames, validFrames } = stream.finish(keep);
  const data = new Float32Array(extractor.numMels * numFrames);
  for (let t = 0; t < numFrames; t++) {
    for (let m = 0; m < extractor.numMels; m++) data[m * numFrames + t] = frames[t][m];
  }
  return { data, numFrames, validFrames };
}

/**
 * The tensors that `dumpStages` gives, computed by the streaming path: features by the incremental front end, every step
 * by the cached encoder, tokens of both heads by decoding chunk after chunk. Arrays end with the last valid step. Also
 * what the convolutions remember behind it, as NeMo's `cache_last_time` `[layer, batch, model, kernel - 1]`.
 * @throws SpeechError `MODEL_UNSUPPORTED` for a context or a model that cannot be streamed
 */
export async function dumpStream(
  model: ModelPackage,
  opened: OpenStreamSet,
  recording: StreamedRecording,
): Promise<Map<string, Tensor>> {
  const { ctc, transducer } = model.spec.heads;
  const heads: Head[] = [...(ctc ? (["ctc"] as const) : []), ...(transducer ? (["transducer"] as const) : [])];
  const streamed = await streamRecordings(
    opened,
    heads.map((head) => ({ ...recording, head })),
  );
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  const features = streamFeatures(extractor, recording.waveform, recording.packetSamples);
  const [{ numSteps, encoded, logProbs, cache }] = streamed;
  const tensors = new Map<string, Tensor>([
    ["features", float32(features.data, [1, extractor.numMels, features.numFrames])],
    ["features_len", int64([features.validFrames])],
    ["encoder", float32(encoded, [1, outputSize(model.spec), numSteps])],
    ["encoder_len", int64([numSteps])],
  ]);
  const lastTime = lastTimeOf(model.spec.encoder as ConformerSpec, cache);
  if (lastTime) tensors.set("cache_last_time", lastTime);
  // A recording without a step has every tensor all the same.
  if (ctc) tensors.set("log_probs", float32(logProbs ?? new Float32Array(0), [1, numSteps, ctc.numClasses]));
  for (const [i, { hypothesis }] of streamed.entries()) {
    const head = heads[i];
    tensors.set(`${head}_tokens`, int64(hypothesis.tokens));
    if (head !== "transducer") continue;
    tensors.set("transducer_frames", int64(hypothesis.steps));
    if (transducer?.durations.length) tensors.set("transducer_durations", int64(hypothesis.durations ?? []));
  }
  return tensors;
}

/**
 * What the convolutions of all layers remember, as NeMo's `cache_last_time`: float32 `[layer, 1, model, kernel - 1]`, zero
 * before the stream's beginning. Undefined where they look back on nothing.
 */
export function lastTimeOf(encoder: ConformerSpec, { numSteps, rows }: SavedCache): Tensor | undefined {
  const { maxLeft, convLeft } = streamGeometry(encoder);
  const { numLayers, modelSize } = encoder;
  if (convLeft === 0) return undefined;
  const kept = Math.min(convLeft, numSteps);
  const rowsBefore = 2 * Math.min(maxLeft, numSteps);
  const data = new Float32Array(numLayers * modelSize * convLeft);
  for (let layer = 0; layer < numLayers; layer++) {
    for (let i = 0; i < kept; i++) {
      const row = layer * (rowsBefore + kept) + rowsBefore + i;
      const place = convLeft - kept + i;
      for (let m = 0; m < modelSize; m++) {
        data[(layer * modelSize + m) * convLeft + place] = rows[row * modelSize + m];
      }
    }
  }
  return float32(data, [numLayers, 1, modelSize, convLeft]);
}
