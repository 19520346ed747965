import { createResampler, type Resampler } from "../audio/resample.ts";
import { subsamplingFactor } from "../config/geometry.ts";
import type { ConfidenceSpec, ModelSpec } from "../config/spec.ts";
import type { StreamGeometry } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureExtractor } from "../features/extractor.ts";
import type { AcousticModel, Encoded } from "../recognition/acoustic.ts";
import { createHeadDecoder, defaultHead, type Head, type HeadDecoder } from "../recognition/head-decoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type AudioIntake, createAudioIntake } from "./audio-intake.ts";
import {
  type BatchReport,
  type BatchRules,
  chooseBatch,
  DEFAULT_BATCH_RULES,
  decodeBatch,
  numChunks,
  type Work,
} from "./batch.ts";
import { firstFrame, heardFrames, hypothesisOf, type Lane, nextChunk, openLane, saveLane, turnOf } from "./lane.ts";
import { checkStreamable, lanesOf } from "./modes.ts";
import { parseStreamState, type SavedStream, serializeStreamState } from "./saved-stream.ts";
import type { SilenceDetector } from "./silence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamChunk, StreamEncoder } from "./stream-encoder.ts";
import { createUtterances, DEFAULT_ENDPOINT, type Utterances } from "./utterances.ts";

/** What streams are recognised with. */
export interface StreamParts {
  readonly spec: ModelSpec;
  /** What a saved stream belongs to: the checkpoint's content and the precision of its weights. */
  readonly fingerprint: string;
  readonly tokenizer: Tokenizer;
  readonly extractor: FeatureExtractor;
  readonly encoder: StreamEncoder;
  readonly networks: AcousticModel["networks"];
  /** Detectors of silence other than the decoder itself, by the rule that asks for one. */
  readonly createDetector?: (kind: "vad" | "energy") => SilenceDetector;
  /** Seconds, for the order of work and for measurements only. */
  readonly now: () => number;
}

/** All steps of a stream as the encoder gave them, for comparisons. */
export type StepSink = (encoded: Encoded, row: number, lane: Lane) => void;

interface Stream {
  readonly id: number;
  readonly intake: AudioIntake;
  readonly lanes: readonly Lane[];
  readonly utterances: Utterances;
  readonly detector: SilenceDetector | undefined;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onStep: StepSink | undefined;
  readonly options: StreamOptions;
  /** When each lane's next chunk became complete. */
  readonly readySince: (number | undefined)[];
  /** Lanes in a batch that is being computed. */
  numBusy: number;
  isClosed: boolean;
  hasEnded: boolean;
  /** Why the stream cannot go on. */
  failure: Error | undefined;
}

/**
 * The streams of one engine: sound goes in at any time, `runBatch` does the next batch of work. Nothing here waits or
 * reads a clock of its own, so that the same code runs on a thread of its own, in a browser and under test.
 */
export interface StreamSet {
  readonly numStreams: number;
  /** True while a chunk of some stream waits for `runBatch`. */
  readonly hasWork: boolean;
  /** @throws SpeechError `MODEL_UNSUPPORTED`, `OVER_CAPACITY`, `STATE_INVALID`, `AUDIO_UNSUPPORTED` for the rate */
  open(
    id: number,
    options: StreamOptions,
    onEvent: (event: StreamEvent) => void,
    saved?: Uint8Array,
    onStep?: StepSink,
  ): void;
  /** Takes samples; returns the sound that still waits to be encoded. @throws SpeechError `AUDIO_INVALID` */
  feed(id: number, samples: Float32Array): number;
  /** Seconds of sound of a stream that are taken in and not yet encoded. */
  pendingSec(id: number): number;
  /** Tells that a stream's sound has ended: its last final comes with the batch that does its last steps. */
  finish(id: number): void;
  /** True when a finished stream has given its last event. */
  hasEnded(id: number): boolean;
  /** Why a stream cannot go on (its sound gave no numbers, its receiver threw); others are not touched by it. */
  failure(id: number): Error | undefined;
  /** True while complete chunks of this stream wait or are being computed. */
  isBusy(id: number): boolean;
  /** Makes a final of everything found so far. */
  cut(id: number): void;
  save(id: number): Uint8Array;
  close(id: number): void;
  /** Encodes and decodes the chunks that wait longest, as many as fit in one batch; undefined where none waits. */
  runBatch(): Promise<BatchReport | undefined>;
}

/**
 * Makes an empty set of streams.
 * @throws SpeechError `MODEL_UNSUPPORTED` for a model whose encoder cannot be streamed
 */
export function createStreamSet(parts: StreamParts, rules: BatchRules = DEFAULT_BATCH_RULES): StreamSet {
  const { spec, encoder, now } = parts;
  checkStreamable(spec);
  const { pool } = encoder;
  const frameSec = spec.features.hopSamples / spec.features.sampleRateHz;
  const streams = new Map<number, Stream>();
  const resamplers = new Map<number, Resampler>();
  const decoders = new Map<string, HeadDecoder>();

  function resamplerFor(rateHz: number): Resampler {
    const known = resamplers.get(rateHz) ?? createResampler(rateHz, spec.sampleRateHz);
    resamplers.set(rateHz, known);
    return known;
  }

  function decoderFor(head: Head, confidence: ConfidenceSpec): HeadDecoder {
    const key = JSON.stringify([head, confidence]);
    const known = decoders.get(key) ?? createHeadDecoder({ spec, networks: parts.networks }, head, confidence);
    decoders.set(key, known);
    return known;
  }

  /** A stream that can go on. @throws SpeechError `CLOSED`, or why it cannot */
  function live(id: number): Stream {
    const stream = get(id);
    if (stream.failure) throw stream.failure;
    return stream;
  }

  function get(id: number): Stream {
    const stream = streams.get(id);
    if (stream && !stream.isClosed) return stream;
    throw new SpeechError("CLOSED", `stream ${id}: expected an open stream, got one that was closed. Open another.`);
  }

  /** Notes which lanes have a complete chunk since when. */
  function refresh(stream: Stream): void {
    if (stream.failure) return;
    stream.lanes.forEach((lane, i) => {
      const isReady = nextChunk(lane, stream.intake, spec, pool.geometry) !== undefined;
      stream.readySince[i] = isReady ? (stream.readySince[i] ?? now()) : undefined;
    });
  }

  function open(
    id: number,
    options: StreamOptions,
    onEvent: (event: StreamEvent) => void,
    blob?: Uint8Array,
    onStep?: StepSink,
  ): void {
    const saved = blob && parseStreamState(blob, parts.fingerprint, spec);
    const chosen = saved ? saved.options : options;
    const head = chosen.head ?? defaultHead(spec);
    const decoder = decoderFor(head, { ...spec.decoding.confidence, ...chosen.confidence });
    const modes = lanesOf(spec, chosen);
    const intake = createAudioIntake(
      parts.extractor,
      resamplerFor(chosen.sampleRateHz ?? spec.sampleRateHz),
      saved?.intake,
    );
    const rule = { ...DEFAULT_ENDPOINT, ...chosen.endpoint }.silence;
    const detector = rule === "vad" || rule === "energy" ? createDetector(parts, rule) : undefined;
    const lanes: Lane[] = [];
    try {
      for (const [i, mode] of modes.entries()) lanes.push(openLane(mode, decoder, pool, saved?.lanes[i]));
    } catch (error) {
      for (const lane of lanes) pool.release(lane.slot);
      throw error;
    }
    const utterances = createUtterances(
      { spec, tokenizer: parts.tokenizer, head, hypothesis: hypothesisOf(lanes[0]), rules: chosen.endpoint ?? {} },
      saved?.utterances,
    );
    const stream: Stream = {
      id,
      intake,
      lanes,
      utterances,
      detector,
      onEvent,
      onStep,
      options: chosen,
      readySince: [],
      numBusy: 0,
      isClosed: false,
      hasEnded: false,
      failure: undefined,
    };
    streams.set(id, stream);
    refresh(stream);
  }

  function release(stream: Stream): void {
    for (const lane of stream.lanes) pool.release(lane.slot);
    streams.delete(stream.id);
  }

  function fail(stream: Stream, error: Error): void {
    stream.failure ??= error;
    stream.readySince.fill(undefined);
  }

  /** Tells of what was found. A receiver that throws ends its own stream only. */
  function tell(stream: Stream, events: readonly StreamEvent[]): void {
    try {
      for (const event of events) stream.onEvent(event);
    } catch (error) {
      fail(stream, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Ends a stream whose steps are all done. */
  function endIfDone(stream: Stream): void {
    const { intake, numBusy, failure } = stream;
    if (stream.hasEnded || intake.durationSec === undefined || numBusy > 0 || failure) return;
    if (isWaiting(stream)) return;
    stream.hasEnded = true;
    tell(stream, stream.utterances.cut("end", intake.durationSec));
  }

  /**
   * The chunks that may be done next, by their deadlines. Of one stream these are the chunks whose sound is complete
   * first: so what its lanes know of each other, and with it every event, does not depend on when what was computed.
   */
  function waiting(): Work<Stream>[] {
    const all: Work<Stream>[] = [];
    for (const stream of streams.values()) {
      if (stream.numBusy > 0) continue;
      const turn = nextTurn(stream, pool.geometry);
      stream.lanes.forEach((lane, i) => {
        const since = stream.readySince[i];
        if (since === undefined || turnOf(lane, pool.geometry) !== turn) return;
        // Lanes of one stream take turns chunk by chunk.
        const maxChunks = stream.lanes.length > 1 ? 1 : undefined;
        const chunk = nextChunk(lane, stream.intake, spec, pool.geometry, maxChunks) as StreamChunk;
        all.push({ stream, lane, since, turn, chunk });
      });
    }
    return all.sort((a, b) => a.since + a.lane.mode.chunkSec - (b.since + b.lane.mode.chunkSec));
  }

  async function runBatch(): Promise<BatchReport | undefined> {
    const batch = chooseBatch(waiting(), rules);
    if (batch.length === 0) return undefined;
    for (const { stream } of batch) stream.numBusy++;
    const start = now();
    const encoded = await encoder.encode(batch.map(({ chunk }) => chunk));
    const encodedAt = now();
    await decodeChunks(encoded, batch);
    const end = now();
    for (const [row, { stream, lane }] of batch.entries()) stream.onStep?.(encoded, row, lane);
    for (const stream of new Set(batch.map((work) => work.stream))) settle(stream, batch);
    return {
      numRows: batch.length,
      numSteps: batch.reduce((sum, { chunk }) => sum + chunk.numSteps, 0),
      encodeSec: encodedAt - start,
      decodeSec: end - encodedAt,
      latenciesSec: batch.map(({ since }) => end - since),
      modes: batch.map(({ lane }) => lane.mode),
    };
  }

  /** Decodes chunk by chunk and tells after each, so that events do not depend on how many were encoded at once. */
  async function decodeChunks(encoded: Encoded, batch: readonly Work<Stream>[]): Promise<void> {
    const isOut = ({ stream }: Work<Stream>) => stream.failure !== undefined || stream.isClosed;
    const most = Math.max(...batch.map(numChunks));
    for (let index = 0; index < most; index++) {
      const failed = await decodeBatch(encoded, batch, isOut, index);
      for (const { stream } of failed) fail(stream, noNumbers(stream));
      for (const work of batch) if (index < numChunks(work) - 1 && !isOut(work)) tellFound(work.stream);
    }
  }

  function tellFound(stream: Stream): void {
    const [, fast] = stream.lanes;
    const silenceSec = stream.detector?.silenceSec;
    tell(stream, stream.utterances.update(heardSec(stream), silenceSec, fast && hypothesisOf(fast)));
  }

  /** After a batch: forgets what no step hears any more, tells what was found. */
  function settle(stream: Stream, batch: readonly Work<Stream>[]): void {
    const done = batch.filter((work) => work.stream === stream);
    stream.numBusy -= done.length;
    for (const { lane } of done) stream.readySince[stream.lanes.indexOf(lane)] = undefined;
    if (stream.isClosed) release(stream);
    if (stream.isClosed || stream.failure) return;
    stream.intake.frames.dropBefore(Math.min(...stream.lanes.map((lane) => firstFrame(lane, pool.geometry))));
    refresh(stream);
    // Another lane's chunk of the same sound comes first, in whichever batch it is done.
    if (nextTurn(stream, pool.geometry) === done[0].turn) return;
    tellFound(stream);
    endIfDone(stream);
  }

  /** Sound that the furthest lane has heard. */
  function heardSec({ lanes, intake }: Stream): number {
    const frames = Math.max(...lanes.map((lane) => heardFrames(lane, pool.geometry)));
    return Math.min(frames * frameSec, intake.durationSec ?? Number.POSITIVE_INFINITY);
  }

  return {
    get numStreams() {
      return streams.size;
    },
    get hasWork() {
      for (const { readySince, numBusy } of streams.values()) {
        if (numBusy === 0 && readySince.some(isTime)) return true;
      }
      return false;
    },
    open,
    feed(id, samples) {
      const stream = live(id);
      if (stream.intake.endFrame !== undefined) {
        throw new SpeechError(
          "CLOSED",
          `stream ${id}: expected no sound after its end, got a packet. Open another stream.`,
        );
      }
      stream.intake.feed(samples);
      stream.detector?.feed(samples, stream.options.sampleRateHz ?? spec.sampleRateHz);
      refresh(stream);
      return pendingSec(stream, spec);
    },
    pendingSec: (id) => pendingSec(get(id), spec),
    finish(id) {
      const stream = live(id);
      if (stream.intake.endFrame !== undefined) return;
      stream.intake.finish();
      refresh(stream);
      endIfDone(stream);
    },
    hasEnded: (id) => get(id).hasEnded,
    failure: (id) => get(id).failure,
    isBusy(id) {
      const stream = get(id);
      return stream.numBusy > 0 || isWaiting(stream);
    },
    cut(id) {
      const stream = live(id);
      tell(stream, stream.utterances.cut("asked", heardSec(stream)));
    },
    save(id) {
      const { options, intake, lanes, utterances } = live(id);
      const state: SavedStream = {
        options,
        intake: intake.save(),
        lanes: lanes.map((lane) => saveLane(lane, pool)),
        utterances: utterances.save(),
      };
      return serializeStreamState(state, parts.fingerprint);
    },
    close(id) {
      const stream = streams.get(id);
      if (!stream) return;
      stream.isClosed = true;
      if (stream.numBusy === 0) release(stream);
    },
    runBatch,
  };
}

const isTime = (since: number | undefined): boolean => since !== undefined;

const isWaiting = ({ readySince }: Stream): boolean => readySince.some(isTime);

/** The turn of a stream's next chunks; infinite where none waits. */
function nextTurn({ lanes, readySince }: Stream, geometry: StreamGeometry): number {
  return Math.min(
    ...lanes.map((lane, i) => (isTime(readySince[i]) ? turnOf(lane, geometry) : Number.POSITIVE_INFINITY)),
  );
}

function noNumbers({ id, lanes }: Stream): SpeechError {
  const steps = Math.max(...lanes.map(({ slot }) => slot.numSteps));
  return new SpeechError(
    "AUDIO_INVALID",
    `stream ${id}: expected numbers from the encoder, got none at step ${steps}. Its sound is damaged: check how it is decoded, and open another stream.`,
  );
}

/** Sound behind the slowest lane's last step. */
function pendingSec({ intake, lanes }: Stream, { encoder, features }: ModelSpec): number {
  const frameSec = features.hopSamples / features.sampleRateHz;
  const encodedFrames = Math.min(...lanes.map(({ slot }) => slot.numSteps)) * subsamplingFactor(encoder);
  return Math.max(0, intake.frames.endFrame - encodedFrames) * frameSec;
}

function createDetector({ createDetector }: StreamParts, kind: "vad" | "energy"): SilenceDetector {
  if (createDetector) return createDetector(kind);
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `endpoint: expected silence by the decoder, got \`${kind}\`, for which no detector was given. Give one, or leave it out.`,
  );
}
