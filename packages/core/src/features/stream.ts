import { SpeechError } from "../errors.ts";
import type { FeatureExtractor } from "./extractor.ts";
import { createFramer, type FramerState } from "./framer.ts";
import { computedFrames, type FrameCounts } from "./geometry.ts";

/** Receives one frame, `[mel]`: valid during the call, copy to keep. Frames come in order, from index 0. */
export type FeatureSink = (frame: Float32Array, index: number) => void;

/** What a feature stream has to remember: plain data that survives a structured clone. */
export type FeatureStreamState = FramerState;

/**
 * Features of a signal that arrives in packets of any size. Frames are bit for bit those of `extract` over the whole
 * signal, however it is cut, and come as soon as no later sample can change them: with NeMo's 25 ms window, frame `t`
 * at sample `160 t + 200`. Nothing is allocated per frame.
 */
export interface FeatureStream {
  /** Takes samples and hands out the frames that are complete. Returns their number. */
  feed(samples: Float32Array, sink: FeatureSink): number;
  /**
   * Ends the signal and hands out the rest: the valid frames that reached into the end, then the columns of padding
   * value that `extract` has behind them (`numFrames - validFrames`; with NeMo's mel features at least one). Returns
   * the counts of the whole signal. The stream is then at the beginning of a new one.
   */
  finish(sink: FeatureSink): FrameCounts;
  /** Samples taken and frames handed out so far. */
  readonly numSamples: number;
  readonly numFrames: number;
  save(): FeatureStreamState;
}

/**
 * Opens a stream of features, new or where `state` was saved. Streams of one extractor share its memory for
 * computing, so a stream costs only its tail of samples.
 *
 * @throws SpeechError `MODEL_UNSUPPORTED` when a frame depends on the whole recording (`per_feature`, `all_features`,
 * MFCC of decibels).
 */
export function createFeatureStream(extractor: FeatureExtractor, state?: FeatureStreamState): FeatureStream {
  const { spec, geometry, numMels, column } = extractor;
  const obstacle = wholeRecordingNeeded(extractor);
  if (obstacle !== undefined) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `features: expected a front end whose frames stand alone, got ${obstacle}, which needs the whole recording. Compute features of buffered windows instead.`,
    );
  }
  const framer = createFramer(geometry, state);
  const frame = new Float32Array(numMels);
  let receive: FeatureSink = () => {};
  const emit = (signal: Float64Array, start: number): void => {
    frame.set(column(signal, start));
    receive(frame, framer.numFrames());
  };

  return {
    feed(samples, sink) {
      const before = framer.numFrames();
      receive = sink;
      framer.feed(samples, 0, samples.length, emit);
      return framer.numFrames() - before;
    },
    finish(sink) {
      const numSamples = framer.numSamples();
      const counts = extractor.frameCounts(numSamples);
      const computed = computedFrames(spec, geometry, numSamples);
      receive = sink;
      framer.finish(computed, emit);
      frame.fill(spec.padValue);
      for (let t = computed; t < counts.numFrames; t++) sink(frame, t);
      framer.reset();
      return counts;
    },
    get numSamples() {
      return framer.numSamples();
    },
    get numFrames() {
      return framer.numFrames();
    },
    save: () => framer.save(),
  };
}

function wholeRecordingNeeded({ spec }: FeatureExtractor): string | undefined {
  const { kind } = spec.normalize;
  if (spec.kind === "mfcc") return spec.mfccLog ? undefined : "MFCC of decibels (log: false)";
  return kind === "per_feature" || kind === "all_features" ? `normalize: ${kind}` : undefined;
}
