import { stepSamples, stepSec, subsamplingFactor } from "../config/geometry.ts";
import { SpeechError } from "../errors.ts";
import { type BatchLimits, DEFAULT_BATCH_LIMITS, isBatchInvariant } from "../recognition/batching.ts";
import type { HeadDecoder, StepRange } from "../recognition/head-decoder.ts";
import { featureBatch, keptSteps, type Recognizer } from "../recognition/recognizer.ts";
import { type Calibration, headCalibration } from "../transcript/calibration.ts";
import { checkSamples } from "./audio-intake.ts";
import type { BatchReport } from "./batch.ts";
import { hasNumbers, noNumbers } from "./batch.ts";
import { type BufferedMode, bufferedMode, latencyMode } from "./buffered-modes.ts";
import { parseBuffered, type SavedBuffered, serializeBuffered } from "./buffered-state.ts";
import { createWindowBuffer, type ReadyWindow, type WindowBuffer } from "./buffered-stream.ts";
import { createFeatureTimer } from "./feature-timer.ts";
import { createPlaceSilences, type PlaceSilences } from "./place-silences.ts";
import { createSharedParts } from "./shared.ts";
import type { SilenceDetector, SilenceDetectors } from "./silence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamSet } from "./stream-set.ts";
import { createUtterances, type Utterances } from "./utterances.ts";

/** What buffered streams are recognised with. */
export interface BufferedParts extends Pick<Recognizer, "spec" | "tokenizer" | "extractor" | "acoustic"> {
  /** What a saved stream belongs to. */
  readonly fingerprint: string;
  readonly modes: readonly BufferedMode[];
  /** Makes probabilities of confidences, of the checkpoint's own method. */
  readonly calibration?: Calibration;
  /** Streams at a time. */
  readonly maxStreams: number;
  readonly detectors: SilenceDetectors;
  /** Seconds, for the order of work and for measurements only. */
  readonly now: () => number;
}

interface Stream {
  readonly id: number;
  readonly options: StreamOptions;
  readonly mode: BufferedMode;
  readonly buffer: WindowBuffer;
  readonly decoder: HeadDecoder;
  readonly state: ReturnType<HeadDecoder["createState"]>;
  readonly utterances: Utterances;
  readonly detector: SilenceDetector | undefined;
  readonly places: PlaceSilences;
  readonly onEvent: (event: StreamEvent) => void;
  /** When the next window became complete. */
  readySince: number | undefined;
  isBusy: boolean;
  isClosed: boolean;
  hasEnded: boolean;
  /** Why the stream cannot go on. */
  failure: Error | undefined;
}

interface Work {
  readonly stream: Stream;
  readonly window: ReadyWindow;
  readonly since: number;
}

/**
 * Streams of a model whose encoder cannot remember: overlapping windows, each encoded anew, of which the steps in the
 * middle are kept; the decoder's state goes from one to the next (NeMo's buffered inference). What a stream finds is what
 * `transcribe` finds in the same windows.
 */
export function createBufferedSet(parts: BufferedParts, limits: BatchLimits = DEFAULT_BATCH_LIMITS): StreamSet {
  const { spec, extractor, acoustic, now } = parts;
  const secOfStep = stepSec(spec);
  const features = createFeatureTimer(now);
  const streams = new Map<number, Stream>();
  const shared = createSharedParts(spec, acoustic.networks);

  function get(id: number): Stream {
    const stream = streams.get(id);
    if (stream && !stream.isClosed) return stream;
    throw new SpeechError("CLOSED", `stream ${id}: expected an open stream, got one that was closed. Open another.`);
  }

  /** A stream that can go on. @throws SpeechError `CLOSED`, or why it cannot */
  function live(id: number): Stream {
    const stream = get(id);
    if (stream.failure) throw stream.failure;
    return stream;
  }

  function open(id: number, asked: StreamOptions, onEvent: (event: StreamEvent) => void, blob?: Uint8Array): void {
    if (streams.size >= parts.maxStreams) {
      throw new SpeechError(
        "OVER_CAPACITY",
        `streams: expected at most ${parts.maxStreams} at a time, got one more. Try again when another has ended.`,
      );
    }
    const saved: SavedBuffered | undefined = blob && parseBuffered(blob, parts.fingerprint);
    const options = saved?.options ?? asked;
    const decoder = shared.decoder(options);
    const confidence = { ...spec.decoding.confidence, ...options.confidence };
    const calibration = headCalibration(parts.calibration, decoder.head, confidence);
    const mode = bufferedMode(spec, parts.modes, options);
    const endpoint = options.endpoint ?? {};
    const isHeard = endpoint.silence === "vad" || endpoint.silence === "energy";
    const detector = isHeard ? parts.detectors.open(endpoint.silence, endpoint, saved?.detector) : undefined;
    const rate = shared.resampler(options).openStream(saved?.buffer.resampler);
    const buffer = createWindowBuffer(rate, mode.sizes, stepSamples(spec), saved?.buffer, detector?.feed);
    const state = saved?.state ?? decoder.createState();
    const utterances = createUtterances(
      {
        spec,
        tokenizer: parts.tokenizer,
        head: decoder.head,
        hypothesis: state.hypothesis,
        rules: endpoint,
        calibration,
      },
      saved?.utterances,
    );
    const step = { sec: secOfStep, samples: stepSamples(spec) };
    const places = createPlaceSilences(detector, step, saved?.places);
    const own = { id, options, mode, buffer, decoder, state, utterances, detector, places, onEvent };
    const stream: Stream = {
      ...own,
      readySince: undefined,
      isBusy: false,
      isClosed: false,
      hasEnded: false,
      failure: undefined,
    };
    streams.set(id, stream);
    refresh(stream);
  }

  function refresh(stream: Stream): void {
    const isReady = stream.failure === undefined && stream.buffer.next() !== undefined;
    stream.readySince = isReady ? (stream.readySince ?? now()) : undefined;
  }

  /** Tells of what was found. A receiver that throws ends its own stream only. */
  function tell(stream: Stream, events: readonly StreamEvent[]): void {
    try {
      for (const event of events) stream.onEvent(event);
    } catch (error) {
      fail(stream, error instanceof Error ? error : new Error(String(error)));
    }
  }

  function fail(stream: Stream, error: Error): void {
    stream.failure ??= error;
    stream.readySince = undefined;
  }

  /** Ends a stream whose windows are all done. */
  function endIfDone(stream: Stream): void {
    if (stream.hasEnded || stream.isBusy || stream.failure || !stream.buffer.isDone || isListening(stream)) return;
    stream.hasEnded = true;
    tell(stream, stream.utterances.cut("end", (stream.buffer.endSample ?? 0) / spec.sampleRateHz));
  }

  /** Sound up to which the detector is asked now: that of the next window comes before the window. */
  const heardEnd = ({ buffer }: Stream): number => buffer.next()?.endSample ?? buffer.samples.endSample;

  /** True while a detector has sound that it was not asked for. */
  const isListening = (stream: Stream): boolean =>
    stream.failure === undefined && !stream.isBusy && stream.places.hasOpen(heardEnd(stream));

  /** Asks the detectors for what has come: an utterance may end while the next window is still incomplete. */
  async function listen(): Promise<void> {
    const listening = [...streams.values()].filter(isListening).map((stream) => ({ stream, end: heardEnd(stream) }));
    if (listening.length === 0) return;
    await parts.detectors.hear(listening.flatMap(({ stream }) => stream.detector ?? []));
    for (const { stream, end } of listening) {
      if (stream.isClosed || stream.failure) continue;
      for (const { step, silenceSec } of stream.places.ask(end)) {
        if (step <= stream.state.hypothesis.numSteps) continue;
        tell(stream, stream.utterances.endsAt(step, heardSec(stream), silenceSec));
      }
      endIfDone(stream);
    }
  }

  function waiting(): Work[] {
    const all: Work[] = [];
    for (const stream of streams.values()) {
      const since = stream.readySince;
      if (since === undefined || stream.isBusy || isListening(stream)) continue;
      all.push({ stream, since, window: stream.buffer.next() as ReadyWindow });
    }
    return all.sort((a, b) => a.since - b.since);
  }

  async function runBatch(): Promise<BatchReport | undefined> {
    await listen();
    const batch = chooseWindows(waiting(), limits, widthOf, isBatchInvariant(spec));
    if (batch.length === 0) return undefined;
    for (const { stream } of batch) stream.isBusy = true;
    const start = now();
    // Sound shorter than a frame has nothing to encode.
    const heard = batch.filter(({ window }) => extractor.frameCounts(window.waveform.length).validFrames > 0);
    const encodedAt = heard.length > 0 ? await recognize(heard) : start;
    const end = now();
    const featuresSec = features.take();
    for (const { stream, window } of batch) settle(stream, window);
    return {
      numRows: batch.length,
      numSteps: batch.reduce((sum, { window }) => sum + widthOf(window), 0),
      featuresSec,
      encodeSec: Math.max(0, encodedAt - start - featuresSec),
      decodeSec: end - encodedAt,
      latenciesSec: batch.map(({ since }) => end - since),
      modes: batch.map(({ stream }) => latencyMode(spec, stream.mode)),
    };
  }

  /** Encodes windows and decodes the steps that are kept; returns when the encoder was done. */
  async function recognize(batch: readonly Work[]): Promise<number> {
    const [{ stream: first }] = batch;
    const waveforms = batch.map(({ window }) => window.waveform);
    const frames = features.time(() => featureBatch(extractor, waveforms));
    const encoded = await acoustic.encode(frames, first.mode.attContext, first.decoder.head);
    const encodedAt = now();
    const byDecoder = new Map<HeadDecoder, StepRange[]>();
    for (const [row, { stream, window }] of batch.entries()) {
      const { decoder, state } = stream;
      const range = { state, ...keptSteps(encoded, row, window) };
      // Rows without numbers must not stop their batch mates.
      if (!hasNumbers(encoded, decoder.head, range)) fail(stream, noNumbers(stream.id, state.hypothesis.numSteps));
      else byDecoder.set(decoder, [...(byDecoder.get(decoder) ?? []), range]);
    }
    for (const [decoder, ranges] of byDecoder) await decoder.push(encoded, ranges);
    return encodedAt;
  }

  const widthOf = ({ startSample, endSample }: ReadyWindow): number =>
    Math.ceil(extractor.frameCounts(endSample - startSample).numFrames / subsamplingFactor(spec.encoder));

  function settle(stream: Stream, window: ReadyWindow): void {
    stream.isBusy = false;
    stream.readySince = undefined;
    if (stream.isClosed) streams.delete(stream.id);
    if (stream.isClosed || stream.failure) return;
    stream.buffer.take(window);
    refresh(stream);
    tellWindow(stream, window);
    endIfDone(stream);
  }

  /** Tells what a window brought: it may hold the ends of several utterances. */
  function tellWindow(stream: Stream, { startStep }: ReadyWindow): void {
    const { utterances, places, state, detector } = stream;
    const { numSteps } = state.hypothesis;
    const heard = heardSec(stream);
    // Without a detector, every step is a place.
    const decoded = Array.from({ length: Math.max(0, numSteps - startStep) }, (_, i) => startStep + i + 1);
    const known = detector ? places.takeUpTo(numSteps) : decoded.map((step) => ({ step, silenceSec: undefined }));
    // What needs no silence waits for no place; of what lies ahead, silence may be known since before the last step.
    const last = { step: numSteps, silenceSec: detector && 0 };
    const finals = [...known, last, ...places.answers].flatMap(({ step, silenceSec }) =>
      utterances.endsAt(step, heard, silenceSec),
    );
    tell(stream, [...finals, ...utterances.interim(heard)]);
  }

  /** Sound whose steps are decoded. */
  function heardSec({ state, buffer }: Stream): number {
    const encodedSec = state.hypothesis.numSteps * secOfStep;
    return buffer.endSample === undefined ? encodedSec : Math.min(encodedSec, buffer.endSample / spec.sampleRateHz);
  }

  function pendingSec(stream: Stream): number {
    return (stream.buffer.samples.endSample - stream.buffer.nextSample) / spec.sampleRateHz;
  }

  return {
    get numStreams() {
      return streams.size;
    },
    get hasWork() {
      for (const stream of streams.values()) {
        if (stream.isBusy) continue;
        if (stream.readySince !== undefined || isListening(stream)) return true;
      }
      return false;
    },
    open,
    feed(id, samples) {
      const stream = live(id);
      if (stream.buffer.endSample !== undefined) {
        throw new SpeechError(
          "CLOSED",
          `stream ${id}: expected no sound after its end, got a packet. Open another stream.`,
        );
      }
      checkSamples(samples);
      stream.buffer.feed(samples);
      refresh(stream);
      return pendingSec(stream);
    },
    pendingSec: (id) => pendingSec(get(id)),
    finish(id) {
      const stream = live(id);
      if (stream.buffer.endSample !== undefined) return;
      stream.buffer.finish();
      refresh(stream);
      endIfDone(stream);
    },
    hasEnded: (id) => get(id).hasEnded,
    failure: (id) => get(id).failure,
    isBusy(id) {
      const stream = get(id);
      return stream.isBusy || stream.readySince !== undefined || isListening(stream);
    },
    cut(id) {
      const stream = live(id);
      tell(stream, stream.utterances.cut("asked", heardSec(stream)));
    },
    save(id) {
      const { options, buffer, state, utterances, detector, places } = live(id);
      const saved = { options, buffer: buffer.save(), state, utterances: utterances.save() };
      const listened = detector && { detector: detector.save(), places: places.save() };
      return serializeBuffered({ ...saved, ...listened }, parts.fingerprint);
    },
    close(id) {
      const stream = streams.get(id);
      if (!stream) return;
      stream.isClosed = true;
      if (!stream.isBusy) streams.delete(id);
    },
    runBatch,
  };
}

/** The windows that wait longest and can share a batch: of one context and head, without much padding. */
function chooseWindows(
  waiting: readonly Work[],
  { maxRows, maxSteps, maxPadding }: BatchLimits,
  widthOf: (window: ReadyWindow) => number,
  isShared: boolean,
): Work[] {
  const batch: Work[] = [];
  let width = 0;
  let sum = 0;
  for (const work of waiting) {
    const [first] = batch;
    if (batch.length === (isShared ? maxRows : 1)) break;
    if (first && (first.stream.mode !== work.stream.mode || first.stream.decoder.head !== work.stream.decoder.head)) {
      continue;
    }
    const own = widthOf(work.window);
    const padded = Math.max(width, own) * (batch.length + 1);
    if (first && (padded > maxSteps || padded - sum - own > padded * maxPadding)) continue;
    batch.push(work);
    width = Math.max(width, own);
    sum += own;
  }
  return batch;
}
