import { createResampler, type ResampleState } from "../audio/resample.ts";
import { SpeechError } from "../errors.ts";
import { createSpeechTracker, type SavedTracker } from "../vad/speech-tracker.ts";
import type { EndpointRules } from "./stream.ts";
import { createEnergySource } from "./voice/energy.ts";
import type { SavedVoice, VoiceSource, VoiceStream } from "./voice/voice.ts";

/** What a detector has to remember: plain data. */
export interface SavedDetector {
  /** The model it listens with. */
  readonly id: string;
  readonly voice: SavedVoice;
  readonly tracker: SavedTracker;
  readonly resampler?: ResampleState;
}

/** Hears in one stream when nobody speaks. */
export interface SilenceDetector {
  /** Takes mono samples in [-1, 1] at the stream model's rate. Cheap: the work waits for `hear`. */
  feed(samples: Float32Array): void;
  /**
   * Silence at the end of the sound up to `heardSec`, in seconds, as far as it is known by then; 0 while somebody speaks.
   * It depends on the sound before `heardSec` alone, however that was fed. Places that are asked for must not go back.
   */
  silenceSec(heardSec: number): number;
  save(): SavedDetector;
}

/** The rules of `EndpointRules.silence` that need a detector. */
export type DetectorKind = "vad" | "energy";

/** The detectors of an engine's streams: those of one kind hear together. */
export interface SilenceDetectors {
  /**
   * Opens a detector, new or where it was saved.
   * @throws SpeechError `MODEL_UNSUPPORTED` for `vad` without a model, `STATE_INVALID` for one saved with another;
   *   RangeError for rules that are no probabilities or seconds
   */
  open(kind: DetectorKind, rules: EndpointRules, saved?: SavedDetector): SilenceDetector;
  /** Hears what was fed to these. Not to be called again before it resolves. */
  hear(detectors: readonly SilenceDetector[]): Promise<void>;
}

/** Rules of hysteresis that are not told, as those of `nemo-stt vad`. */
export const DEFAULT_SPEECH = { onset: 0.5, offset: 0.35, minSpeechSec: 0.06, minSilenceSec: 0.8 } as const;

/** Sound behind a step that a voice activity model waits for in a stream: NeMo's models change little beyond. */
export const LOOKAHEAD_SEC = 0.32;

/** Filters of two resamplers reach differently far; positions are asked for this much later where there are two. */
const RESAMPLING_SEC = 0.02;

/** What a position may come late by at its last digit. */
const EPSILON_SEC = 1e-6;

/**
 * Makes the detectors of streams whose model hears sound at `sampleRateHz`.
 * @param stepSec one step of the encoder: it is done with a step as soon as that has begun
 * @param vad the voice activity model, where there is one; its owner closes it
 */
export function createSilenceDetectors(sampleRateHz: number, stepSec: number, vad?: VoiceSource): SilenceDetectors {
  const energy = createEnergySource(sampleRateHz);
  const known = new WeakMap<SilenceDetector, { source: VoiceSource; voice: VoiceStream }>();

  function open(kind: DetectorKind, rules: EndpointRules, saved?: SavedDetector): SilenceDetector {
    const source = kind === "energy" ? energy : vad;
    if (!source) {
      throw new SpeechError(
        "MODEL_UNSUPPORTED",
        "endpoint: expected a voice activity model for silence `vad`, got an engine without one. Open the engine with one, or choose `energy` or `decoder`.",
      );
    }
    checkRules(rules);
    checkSaved(source, saved);
    const voice = source.open(saved?.voice);
    const detector = createDetector({ source, voice, sampleRateHz, stepSec, rules }, saved);
    known.set(detector, { source, voice });
    return detector;
  }

  return {
    open,
    async hear(detectors) {
      const open = detectors.flatMap((detector) => known.get(detector) ?? []);
      for (const source of new Set(open.map((each) => each.source))) {
        await source.hear(open.filter((each) => each.source === source).map(({ voice }) => voice));
      }
    },
  };
}

interface DetectorParts {
  readonly source: VoiceSource;
  readonly voice: VoiceStream;
  readonly sampleRateHz: number;
  readonly stepSec: number;
  readonly rules: EndpointRules;
}

function createDetector(parts: DetectorParts, saved?: SavedDetector): SilenceDetector {
  const { source, voice, sampleRateHz, stepSec, rules } = parts;
  const { hopSec, windowSec } = source;
  const tracker = createSpeechTracker(
    hopSec,
    {
      onset: rules.onset ?? DEFAULT_SPEECH.onset,
      offset: rules.offset ?? Math.min(DEFAULT_SPEECH.offset, rules.onset ?? 1),
      minSpeechSec: rules.minSpeechSec ?? DEFAULT_SPEECH.minSpeechSec,
      minSilenceSec: rules.minSilenceSec ?? DEFAULT_SPEECH.minSilenceSec,
      windowSec,
    },
    saved?.tracker,
  );
  const isOtherRate = source.sampleRateHz !== sampleRateHz;
  const rate = isOtherRate
    ? createResampler(sampleRateHz, source.sampleRateHz).openStream(saved?.resampler)
    : undefined;
  const lateSec = stepSec + source.latencySec + (isOtherRate ? RESAMPLING_SEC : 0) - EPSILON_SEC;
  return {
    feed: (samples) => voice.feed(rate ? rate.feed(samples) : samples),
    silenceSec(heardSec) {
      while (tracker.decidedSec + hopSec <= heardSec - lateSec) {
        const probability = voice.take();
        if (probability === undefined) break;
        tracker.push(probability);
      }
      return tracker.silenceSec;
    },
    save: () => ({
      id: source.id,
      voice: voice.save(),
      tracker: tracker.save(),
      ...(rate && { resampler: rate.save() }),
    }),
  };
}

function checkRules({ onset = DEFAULT_SPEECH.onset, offset = 0, minSpeechSec = 0 }: EndpointRules): void {
  for (const [name, value] of Object.entries({ onset, offset })) {
    if (!(value >= 0 && value <= 1))
      throw new RangeError(`endpoint.${name}: expected a number from 0 to 1, got ${value}. Leave it out, or give one.`);
  }
  if (offset > onset) {
    throw new RangeError(
      `endpoint.offset: expected at most the onset (${onset}), got ${offset}. Speech ends below the probability that it begins at.`,
    );
  }
  if (!(minSpeechSec >= 0 && minSpeechSec < Number.POSITIVE_INFINITY)) {
    throw new RangeError(
      `endpoint.minSpeechSec: expected a number of seconds from 0 up, got ${minSpeechSec}. Leave it out, or give one.`,
    );
  }
}

function checkSaved({ id }: VoiceSource, saved: SavedDetector | undefined): void {
  if (saved === undefined || saved.id === id) return;
  throw new SpeechError(
    "STATE_INVALID",
    `stream: expected one saved with voice activity model ${id.slice(0, 16)}, got one of ${String(saved.id).slice(0, 16)}. Open it with the model it was saved with.`,
  );
}
