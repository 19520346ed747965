import type { Resampler, ResampleState } from "../audio/resample.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureExtractor } from "../features/extractor.ts";
import { createFeatureStream, type FeatureStreamState } from "../features/stream.ts";
import { createFrameBuffer, type FrameBuffer, type SavedFrames } from "./frame-buffer.ts";

/** What the intake of a stream has to remember: plain data. */
export interface SavedIntake {
  readonly resampler: ResampleState;
  readonly features: FeatureStreamState;
  readonly frames: SavedFrames;
  readonly endFrame: number | undefined;
  readonly durationSec: number | undefined;
}

/** Samples of one stream, at any rate and in packets of any size, to the frames that its steps hear. */
export interface AudioIntake {
  readonly frames: FrameBuffer;
  /** Valid frames of the whole recording, once it has ended. */
  readonly endFrame: number | undefined;
  /** Sound of the whole recording, once it has ended. */
  readonly durationSec: number | undefined;
  /** @throws SpeechError `AUDIO_INVALID` for samples that are no numbers; nothing of the packet is taken then */
  feed(samples: Float32Array): void;
  finish(): void;
  save(): SavedIntake;
}

/**
 * Opens the intake of a stream, new or where it was saved.
 * @param listen hears the samples too, at the model's rate; views that the next packet reuses
 */
export function createAudioIntake(
  extractor: FeatureExtractor,
  resampler: Resampler,
  saved?: SavedIntake,
  listen?: (samples: Float32Array) => void,
): AudioIntake {
  const rate = resampler.openStream(saved?.resampler);
  const features = createFeatureStream(extractor, saved?.features);
  const frames = createFrameBuffer(extractor.numMels, saved?.frames);
  let endFrame = saved?.endFrame;
  let durationSec = saved?.durationSec;
  const keep = (frame: Float32Array) => frames.push(frame);
  return {
    frames,
    get endFrame() {
      return endFrame;
    },
    get durationSec() {
      return durationSec;
    },
    feed(samples) {
      checkSamples(samples);
      const resampled = rate.feed(samples);
      listen?.(resampled);
      features.feed(resampled, keep);
    },
    finish() {
      features.feed(rate.finish(), keep);
      // The columns of padding behind the valid frames are dropped again: no step hears them.
      durationSec = features.numSamples / resampler.toHz;
      endFrame = features.finish(keep).validFrames;
      frames.dropFrom(endFrame);
    },
    save: () => ({ resampler: rate.save(), features: features.save(), frames: frames.save(), endFrame, durationSec }),
  };
}

/** Beyond this no decoded sound lies, whatever its scale; its squares would overflow the features' 32-bit floats. */
const MAX_SAMPLE = 1e6;

/** Refuses what is no sound. @throws SpeechError `AUDIO_INVALID` for samples that are no numbers, or numbers that no sound has */
export function checkSamples(samples: Float32Array): void {
  for (let i = 0; i < samples.length; i++) {
    if (Math.abs(samples[i]) <= MAX_SAMPLE) continue; // False for NaN, too.
    throw new SpeechError(
      "AUDIO_INVALID",
      `stream: expected samples in [-1, 1], got ${samples[i]} at place ${i} of a packet. Check how the sound is decoded.`,
    );
  }
}
