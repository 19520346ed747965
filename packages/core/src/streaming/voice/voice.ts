import type { FeatureStreamState } from "../../features/stream.ts";
import type { SavedFrames } from "../frame-buffer.ts";
import type { SavedSamples } from "../sample-buffer.ts";

/** What one live recording has to remember of its voice activity: plain data. */
export interface SavedVoice {
  /** Positions found so far. */
  readonly numPositions: number;
  /** Probabilities that nobody has taken yet. */
  readonly waiting: readonly number[];
  readonly samples?: SavedSamples;
  readonly features?: FeatureStreamState;
  readonly frames?: SavedFrames;
  /** What an energy gate knows of the noise. */
  readonly levels?: readonly number[];
}

/** Probabilities of speech in one live recording. */
export interface VoiceStream {
  /** Takes mono samples in [-1, 1] at the source's rate. Cheap: the work waits for `hear`. */
  feed(samples: Float32Array): void;
  /** Tells that the sound has ended: positions at its end are found with the next `hear`. */
  finish(): void;
  /** Positions found so far, and taken from here. */
  readonly numPositions: number;
  /** The next probability that was found and not taken; undefined where none was. */
  take(): number | undefined;
  save(): SavedVoice;
}

/** Something that finds speech in any number of live recordings. */
export interface VoiceSource {
  /** What saved streams belong to. */
  readonly id: string;
  readonly sampleRateHz: number;
  /** Distance of positions, and what one position covers, as in `ClassifiedRecording`. */
  readonly hopSec: number;
  readonly windowSec: number;
  /**
   * A position is found, at the latest, as soon as the sound up to this much behind what it decides about was fed and
   * heard.
   */
  readonly latencySec: number;
  open(saved?: SavedVoice): VoiceStream;
  /** Finds what can be found of what was fed to these streams, in batches. Not to be called again before it resolves. */
  hear(streams: readonly VoiceStream[]): Promise<void>;
  /** Frees what it loaded; idempotent. */
  close(): Promise<void>;
}

/** A queue of probabilities that were found. */
export interface VoiceQueue {
  readonly numPositions: number;
  push(probability: number): void;
  take(): number | undefined;
  readonly waiting: readonly number[];
}

/** Makes a queue, empty or with what was saved. */
export function createVoiceQueue(saved?: Pick<SavedVoice, "numPositions" | "waiting">): VoiceQueue {
  let numPositions = saved?.numPositions ?? 0;
  const waiting = [...(saved?.waiting ?? [])];
  return {
    get numPositions() {
      return numPositions;
    },
    push(probability) {
      waiting.push(probability);
      numPositions++;
    },
    take: () => waiting.shift(),
    waiting,
  };
}
