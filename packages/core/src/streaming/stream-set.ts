import { createResampler, type Resampler } from "../audio/resample.ts";
import { stepSec, subsamplingFactor } from "../config/geometry.ts";
import type { ConfidenceSpec, ModelSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureExtractor } from "../features/extractor.ts";
import type { AcousticModel, Encoded } from "../recognition/acoustic.ts";
import { createHeadDecoder, defaultHead, type Head, type HeadDecoder } from "../recognition/head-decoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Calibration, headCalibration } from "../transcript/calibration.ts";
import { type AudioIntake, createAudioIntake } from "./audio-intake.ts";
import {
  type BatchReport,
  type BatchRules,
  chooseBatch,
  DEFAULT_BATCH_RULES,
  decodeBatch,
  type Work,
} from "./batch.ts";
import { firstFrame, hypothesisOf, type Lane, nextChunk, openLane, saveLane } from "./lane.ts";
import { checkStreamable, lanesOf } from "./modes.ts";
import { parseStreamState, type SavedStream, serializeStreamState } from "./saved-stream.ts";
import type { SilenceDetector, SilenceDetectors } from "./silence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamChunk, StreamEncoder } from "./stream-encoder.ts";
import { createUtterances, type Utterances } from "./utterances.ts";

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

  function get(id: number): Stream {
    const stream = streams.get(id);
    if (stream && !stream.isClosed) return stream;
    throw new SpeechError("CLOSED", `stream ${id}: expected an open stream, got one that was closed. Open another.`);
  }

  /** Notes which lanes have a complete chunk since when. */
  function refresh(stream: Stream): void {
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
    };
    streams.set(id, stream);
    refresh(stream);
  }

  function release(stream: Stream): void {
    for (const lane of stream.lanes) pool.release(lane.slot);
    streams.delete(stream.id);
  }

  /** Ends a stream whose steps are all done. */
  function endIfDone(stream: Stream): void {
    if (stream.hasEnded || stream.intake.endFrame === undefined || stream.numBusy > 0) return;
    if (stream.readySince.some((since) => since !== undefined)) return;
    stream.hasEnded = true;
    for (const event of stream.utterances.cut("end", heardSec(stream, spec))) stream.onEvent(event);
  }

  /** The lanes that wait, longest first. */
  function waiting(): Work<Stream>[] {
    const all: Work<Stream>[] = [];
    for (const stream of streams.values()) {
      if (stream.numBusy > 0) continue;
      stream.lanes.forEach((lane, i) => {
        const since = stream.readySince[i];
        if (since !== undefined)
          all.push({ stream, lane, since, chunk: nextChunk(lane, stream.intake, spec, pool.geometry) as StreamChunk });
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
    await decodeBatch(encoded, batch);
    await parts.detectors.hear([...new Set(batch.flatMap(({ stream }) => stream.detector ?? []))]);
    const end = now();
    for (const [row, { stream, lane }] of batch.entries()) stream.onStep?.(encoded, row, lane);
    for (const stream of new Set(batch.map((work) => work.stream))) settle(stream, batch);
    return {
      numRows: batch.length,
      numSteps: batch.reduce((sum, { chunk }) => sum + chunk.numSteps, 0),
      encodeSec: encodedAt - start,
      decodeSec: end - encodedAt,
      latenciesSec: batch.map(({ since }) => end - since),
    };
  }

  /** After a batch: forgets what no step hears any more, tells what was found. */
  function settle(stream: Stream, batch: readonly Work<Stream>[]): void {
    stream.lanes.forEach((lane, i) => {
      if (batch.some((work) => work.lane === lane)) {
        stream.numBusy--;
        stream.readySince[i] = undefined;
      }
    });
    if (stream.isClosed) {
      if (stream.numBusy === 0) release(stream);
      return;
    }
    stream.intake.frames.dropBefore(Math.min(...stream.lanes.map((lane) => firstFrame(lane, pool.geometry))));
    refresh(stream);
    const [slow, fast] = stream.lanes;
    const silenceSec = stream.detector?.silenceSec(slow.slot.numSteps * stepSec(spec));
    const events = stream.utterances.update(heardSec(stream, spec), silenceSec, fast && hypothesisOf(fast));
    for (const event of events) stream.onEvent(event);
    endIfDone(stream);
  }

  return {
    get numStreams() {
      return streams.size;
    },
    get hasWork() {
      for (const { readySince, numBusy } of streams.values()) {
        if (numBusy === 0 && readySince.some((since) => since !== undefined)) return true;
      }
      return false;
    },
    open,
    feed(id, samples) {
      const stream = get(id);
      if (stream.intake.endFrame !== undefined) {
        throw new SpeechError(
          "CLOSED",
          `stream ${id}: expected no sound after its end, got a packet. Open another stream.`,
        );
      }
      stream.intake.feed(samples);
      refresh(stream);
      return pendingSec(stream, spec);
    },
    pendingSec: (id) => pendingSec(get(id), spec),
    finish(id) {
      const stream = get(id);
      if (stream.intake.endFrame !== undefined) return;
      stream.intake.finish();
      refresh(stream);
      endIfDone(stream);
    },
    hasEnded: (id) => get(id).hasEnded,
    isBusy(id) {
      const { numBusy, readySince } = get(id);
      return numBusy > 0 || readySince.some((since) => since !== undefined);
    },
    cut(id) {
      const stream = get(id);
      for (const event of stream.utterances.cut("asked", heardSec(stream, spec))) stream.onEvent(event);
    },
    save(id) {
      const { options, intake, lanes, utterances, detector } = get(id);
      const state: SavedStream = {
        options,
        intake: intake.save(),
        lanes: lanes.map((lane) => saveLane(lane, pool)),
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

/** Sound that the furthest lane has heard. */
function heardSec({ lanes, intake }: Stream, spec: ModelSpec): number {
  const encodedSec = Math.max(...lanes.map(({ slot }) => slot.numSteps)) * stepSec(spec);
  return Math.min(encodedSec, intake.durationSec ?? Number.POSITIVE_INFINITY);
}

/** Sound behind the slowest lane's last step. */
function pendingSec({ intake, lanes }: Stream, { encoder, features }: ModelSpec): number {
  const frameSec = features.hopSamples / features.sampleRateHz;
  const encodedFrames = Math.min(...lanes.map(({ slot }) => slot.numSteps)) * subsamplingFactor(encoder);
  return Math.max(0, intake.frames.endFrame - encodedFrames) * frameSec;
}
