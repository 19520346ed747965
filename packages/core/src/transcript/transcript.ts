/** A word, token or segment with its time from the start of the recording. */
export interface TimedText {
  readonly text: string;
  readonly startSec: number;
  readonly endSec: number;
  /** In encoder steps; what NeMo calls `start_offset` and `end_offset`. */
  readonly startStep: number;
  readonly endStep: number;
  readonly confidence?: number;
}

/** The answer for one recording or channel. */
export interface Transcript {
  /** As NeMo prints it, `<EOU>` and `<EOB>` included. */
  readonly text: string;
  readonly durationSec: number;
  readonly tokens: readonly (TimedText & { readonly id: number })[];
  readonly words: readonly TimedText[];
  readonly segments: readonly TimedText[];
  /** Which head gave the text. */
  readonly head: "ctc" | "transducer";
  /** `<EOU>`, `<EOB>` and language tags that are stripped from the text, with their times. */
  readonly events?: readonly TimedText[];
}
