import type { SilenceDetector } from "./silence.ts";

/** Silence at the end of the sound before a step. */
export interface PlaceSilence {
  readonly step: number;
  readonly silenceSec: number;
}

/** What the questions to a detector have to remember: plain data. */
export interface SavedPlaces {
  readonly nextStep: number;
  readonly answers: readonly PlaceSilence[];
}

/** Between two questions, about. */
const INTERVAL_SEC = 0.16;

/**
 * Asks a stream's detector as its sound comes, at places that depend on nothing else: steps of a grid. The decoder of
 * windows comes to a place seconds later, and finds there what was heard.
 */
export interface PlaceSilences {
  /** True where a place before this sample was not asked for. */
  hasOpen(endSample: number): boolean;
  /** Asks for the places before a sample, whose sound the detector has heard. */
  ask(endSample: number): readonly PlaceSilence[];
  /** The answers that were not taken, in order. */
  readonly answers: readonly PlaceSilence[];
  /** The answers up to a step, which are forgotten. */
  takeUpTo(step: number): readonly PlaceSilence[];
  save(): SavedPlaces;
}

/**
 * Opens the questions to a detector, new or where they were saved; without a detector there are none.
 */
export function createPlaceSilences(
  detector: SilenceDetector | undefined,
  step: { readonly sec: number; readonly samples: number },
  saved: SavedPlaces = { nextStep: 0, answers: [] },
): PlaceSilences {
  const interval = Math.max(1, Math.round(INTERVAL_SEC / step.sec));
  let nextStep = Math.max(interval, saved.nextStep);
  const answers = [...saved.answers];
  const hasOpen = (endSample: number) => detector !== undefined && nextStep * step.samples <= endSample;
  return {
    hasOpen,
    answers,
    ask(endSample) {
      const asked: PlaceSilence[] = [];
      for (; hasOpen(endSample); nextStep += interval) {
        asked.push({ step: nextStep, silenceSec: detector?.silenceSec(nextStep * step.sec) ?? 0 });
      }
      answers.push(...asked);
      return asked;
    },
    takeUpTo(last) {
      const later = answers.findIndex((answer) => answer.step > last);
      return answers.splice(0, later < 0 ? answers.length : later);
    },
    save: () => ({ nextStep, answers: [...answers] }),
  };
}
