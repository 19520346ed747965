import { createResampler, type Resampler } from "../audio/resample.ts";
import { stepSec } from "../config/geometry.ts";
import type { ConfidenceSpec, ModelSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureExtractor } from "../features/extractor.ts";
import type { AcousticModel } from "../recognition/acoustic.ts";
import { createHeadDecoder, defaultHead, type Head, type HeadDecoder } from "../recognition/head-decoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Calibration, headCalibration } from "../transcript/calibration.ts";
import { createAudioIntake } from "./audio-intake.ts";
import {
  type BatchReport,
  type BatchRules,
  chooseBatch,
  DEFAULT_BATCH_RULES,
  decodeChunks,
  noNumbers,
  numChunksOf,
  rulesBeside,
  type Work,
} from "./batch.ts";
import { createFeatureTimer } from "./feature-timer.ts";
import { doneSteps, firstFrame, hypothesisOf, type Lane, openLane, saveLane } from "./lane.ts";
import {
  chunkArrivals,
  heardSec,
  isBetweenLanes,
  isWaiting,
  type LiveStream,
  noteArrival,
  noteReady,
  pendingSec,
  type StepSink,
  streamsOf,
  workOf,
} from "./live-stream.ts";
import { checkStreamable, lanesOf, WINDOWS_ADVICE } from "./modes.ts";
import { parseStreamState, type SavedStream, serializeStreamState } from "./saved-stream.ts";
import type { SilenceDetectors } from "./silence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamEncoder } from "./stream-encoder.ts";
import { createUtterances, utteranceRules } from "./utterances.ts";

/** What streams are recognised with. */
export interface StreamParts {
  readonly spec: ModelSpec;
  /** What a saved stream belongs to: the checkpoint's content and the precision of its weights. */
  readonly fingerprint: string;
  readonly tokenizer: Tokenizer;
  readonly extractor: FeatureExtractor;
  readonly encoder: StreamEncoder;
  readonly networks: AcousticModel["networks"];
  /** Makes probabilities of confidences, of the checkpoint's own method. */
  readonly calibration?: Calibration;
  /** Detectors of silence other than the decoder itself. */
  readonly detectors: SilenceDetectors;
  /** Seconds, for the order of work and for measurements only. */
  readonly now: () => number;
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
  checkStreamable(spec, spec.className, WINDOWS_ADVICE);
  const { pool } = encoder;
  const features = createFeatureTimer(now);
  const streams = new Map<number, LiveStream>();
  const rooms: Float32Array[] = [];
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
  function live(id: number): LiveStream {
    const stream = get(id);
    if (stream.failure) throw stream.failure;
    return stream;
  }

  function get(id: number): LiveStream {
    const stream = streams.get(id);
    if (stream && !stream.isClosed) return stream;
    throw new SpeechError("CLOSED", `stream ${id}: expected an open stream, got one that was closed. Open another.`);
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
    utteranceRules(chosen.endpoint); // Refused before anything is taken.
    const head = chosen.head ?? defaultHead(spec);
    const confidence = { ...spec.decoding.confidence, ...chosen.confidence };
    const decoder = decoderFor(head, confidence);
    const calibration = headCalibration(parts.calibration, head, confidence);
    const modes = lanesOf(spec, chosen);
    const rule = chosen.endpoint?.silence;
    const isHeard = rule === "vad" || rule === "energy";
    const detector = isHeard ? parts.detectors.open(rule, chosen.endpoint ?? {}, saved?.detector) : undefined;
    const intake = createAudioIntake(
      parts.extractor,
      resamplerFor(chosen.sampleRateHz ?? spec.sampleRateHz),
      saved?.intake,
      detector?.feed,
    );
    const lanes: Lane[] = [];
    try {
      for (const [i, mode] of modes.entries()) lanes.push(openLane(mode, decoder, pool, saved?.lanes[i]));
    } catch (error) {
      for (const lane of lanes) pool.release(lane.slot);
      throw error;
    }
    const utterances = createUtterances(
      {
        spec,
        tokenizer: parts.tokenizer,
        head,
        hypothesis: hypothesisOf(lanes[0]),
        rules: chosen.endpoint ?? {},
        calibration,
      },
      saved?.utterances,
    );
    const stream: LiveStream = {
      id,
      intake,
      lanes,
      utterances,
      detector,
      onEvent,
      onStep,
      options: chosen,
      arrivals: [],
      readySince: [],
      numBusy: 0,
      isClosed: false,
      hasEnded: false,
      failure: undefined,
    };
    streams.set(id, stream);
    refresh(stream);
  }

  /** Memory for what a lane saves until it is written into the blob: all streams' saves use the same. */
  function roomFor(lane: number): Float32Array {
    rooms[lane] ??= new Float32Array(pool.slotBytes / 4);
    return rooms[lane];
  }

  function release(stream: LiveStream): void {
    for (const lane of stream.lanes) pool.release(lane.slot);
    streams.delete(stream.id);
  }

  function fail(stream: LiveStream, error: Error): void {
    stream.failure ??= error;
    stream.readySince.fill(undefined);
  }

  /** Tells of what was found. A receiver that throws ends its own stream only. */
  function tell(stream: LiveStream, events: readonly StreamEvent[]): void {
    try {
      for (const event of events) stream.onEvent(event);
    } catch (error) {
      fail(stream, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Ends a stream whose steps are all done. */
  function endIfDone(stream: LiveStream): void {
    const { intake, numBusy, failure } = stream;
    if (stream.hasEnded || intake.durationSec === undefined || numBusy > 0 || failure) return;
    if (isWaiting(stream)) return;
    stream.hasEnded = true;
    tell(stream, stream.utterances.cut("end", intake.durationSec));
  }

  /** The chunks that may be done next, by their deadlines. */
  function waiting(): Work<LiveStream>[] {
    const all: Work<LiveStream>[] = [];
    for (const stream of streams.values()) all.push(...workOf(stream, spec, pool.geometry));
    return all.sort((a, b) => a.since + a.lane.mode.chunkSec - (b.since + b.lane.mode.chunkSec));
  }

  async function runBatch(): Promise<BatchReport | undefined> {
    const chunks = [...streams.values()].flatMap(({ lanes }) => lanes.map(({ mode }) => mode.chunkSteps));
    const batch = chooseBatch(waiting(), rulesBeside(rules, Math.min(...chunks)));
    if (batch.length === 0) return undefined;
    for (const { stream } of batch) stream.numBusy++;
    const arrivals = batch.map((work) => chunkArrivals(work, pool.geometry));
    const start = now();
    const encoded = await encoder.encode(batch.map(({ chunk }) => chunk));
    const encodedAt = now();
    // Silence is asked for at the place of each chunk: the detectors may be ahead of it.
    await parts.detectors.hear([...streamsOf(batch)].flatMap(({ detector }) => detector ?? []));
    const numRounds = Math.max(...batch.map(({ chunk }) => numChunksOf(chunk)));
    for (let place = 0; place < numRounds; place++) {
      const failed = await decodeChunks(encoded, batch, place);
      for (const { stream } of failed) fail(stream, noNumbers(stream.id, Math.max(...stream.lanes.map(doneSteps))));
      for (const stream of streamsOf(batch.filter(({ chunk }) => place < numChunksOf(chunk)))) tellChunk(stream);
    }
    const end = now();
    for (const [row, { stream, lane }] of batch.entries()) stream.onStep?.(encoded, row, lane);
    encoded.release();
    for (const stream of streamsOf(batch)) settle(stream, batch);
    return {
      numRows: batch.length,
      numSteps: batch.reduce((sum, { chunk }) => sum + chunk.numSteps, 0),
      featuresSec: features.take(),
      encodeSec: encodedAt - start,
      decodeSec: end - encodedAt,
      latenciesSec: arrivals.flat().map((at) => end - at),
      modes: batch.flatMap(({ lane }, row) => arrivals[row].map(() => lane.mode)),
    };
  }

  /** Tells what a chunk brought, unless another lane's chunk of the same sound comes first. */
  function tellChunk(stream: LiveStream): void {
    if (stream.isClosed || stream.failure || isBetweenLanes(stream, pool.geometry)) return;
    const { detector, utterances, lanes } = stream;
    const silenceSecAt = detector && ((step: number) => detector.silenceSec(step * stepSec(spec)));
    const fast = lanes.length > 1 ? hypothesisOf(lanes[1]) : undefined;
    tell(stream, utterances.update(heardSec(stream, spec, pool.geometry), silenceSecAt, fast));
  }

  /** After a batch: forgets what no step hears any more. */
  function settle(stream: LiveStream, batch: readonly Work<LiveStream>[]): void {
    stream.numBusy -= batch.filter((work) => work.stream === stream).length;
    if (stream.isClosed) release(stream);
    if (stream.isClosed || stream.failure) return;
    stream.intake.frames.dropBefore(Math.min(...stream.lanes.map((lane) => firstFrame(lane, pool.geometry))));
    refresh(stream);
    endIfDone(stream);
  }

  const refresh = (stream: LiveStream) => noteReady(stream, spec, pool.geometry, now);

  return {
    get numStreams() {
      return streams.size;
    },
    get hasWork() {
      for (const { readySince, numBusy } of streams.values()) {
        if (numBusy === 0 && isWaiting({ readySince })) return true;
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
      features.time(() => stream.intake.feed(samples));
      noteArrival(stream, now());
      refresh(stream);
      return pendingSec(stream, spec);
    },
    pendingSec: (id) => pendingSec(get(id), spec),
    finish(id) {
      const stream = live(id);
      if (stream.intake.endFrame !== undefined) return;
      features.time(() => stream.intake.finish());
      noteArrival(stream, now());
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
      tell(stream, stream.utterances.cut("asked", heardSec(stream, spec, pool.geometry)));
    },
    save(id) {
      const { options, intake, lanes, utterances, detector } = live(id);
      const state: SavedStream = {
        options,
        intake: intake.save(),
        lanes: lanes.map((lane, i) => saveLane(lane, pool, roomFor(i))),
        utterances: utterances.save(),
        ...(detector && { detector: detector.save() }),
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
