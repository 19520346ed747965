import { createResampler } from "../audio/resample.ts";
import { stepSamples } from "../config/geometry.ts";
import { longFormSteps } from "../recognition/long-form.ts";
import {
  answerOf,
  decodingOf,
  featureBatch,
  keptSteps,
  type Recognizer,
  type TranscribeOptions,
  type TranscribeResult,
} from "../recognition/recognizer.ts";
import { createWindowBuffer } from "./buffered-stream.ts";

/** A recording that is transcribed while it is read: what is held of it does not grow with its length. */
export interface Transcription {
  /**
   * Takes the next samples, at the model's rate, and recognises each window that they complete. Calls must not overlap.
   * @throws what `signal` was aborted with
   */
  feed(samples: Float32Array): Promise<void>;
  /** Ends the recording: what `transcribe` gives for the whole of it. */
  finish(): Promise<TranscribeResult>;
}

/**
 * Begins a recording of any length. Up to the length from which `transcribe` cuts recordings the samples are kept and
 * recognised together at the end; beyond it, window by window.
 * @throws SpeechError for a head or an attention context that the model does not have
 * @throws RangeError for limits that are not above zero
 */
export function openTranscription(recognizer: Recognizer, options: TranscribeOptions = {}): Transcription {
  const { acoustic, extractor, spec } = recognizer;
  const { context, decoder } = decodingOf(recognizer, options);
  const step = stepSamples(spec);
  const { wholeSteps, sizes } = longFormSteps(spec, context, options.longForm);
  const unchanged = createResampler(spec.sampleRateHz, spec.sampleRateHz).openStream();
  const buffer = createWindowBuffer(unchanged, sizes, step);
  const state = decoder.createState();
  const isCut = () => Math.ceil(buffer.samples.endSample / step) > wholeSteps;

  async function recognize(): Promise<void> {
    for (let window = buffer.next(); window; window = buffer.next()) {
      if (options.signal?.aborted) throw options.signal.reason;
      const encoded = await acoustic.encode(featureBatch(extractor, [window.waveform]), context, decoder.head);
      await decoder.push(encoded, [{ state, ...keptSteps(encoded, 0, window) }]);
      buffer.take(window);
    }
  }

  return {
    async feed(samples) {
      buffer.feed(samples);
      if (isCut()) await recognize();
    },
    async finish() {
      buffer.finish();
      const numSamples = buffer.samples.endSample;
      if (!isCut()) return (await recognizer.transcribe([buffer.samples.view(0, numSamples)], options))[0];
      await recognize();
      return answerOf(recognizer, decoder.hypothesis(state), numSamples, sizes.method, options);
    },
  };
}
