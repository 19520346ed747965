import { readFileSync } from "node:fs";
import type { FeatureSpec } from "../../src/config/spec.ts";

/** The front end of the cache-aware streaming models. */
export const STREAMING_MEL: FeatureSpec = {
  kind: "mel",
  sampleRateHz: 16000,
  windowSamples: 400,
  hopSamples: 160,
  window: "hann",
  fftSize: 512,
  preEmphasis: 0.97,
  numMels: 10,
  lowHz: 0,
  highHz: 8000,
  melNorm: "slaney",
  magPower: 2,
  log: true,
  logZeroGuard: { kind: "add", value: 2 ** -24 },
  normalize: { kind: "none" },
  frameSplicing: 1,
  padTo: 0,
  padValue: 0,
  exactPad: false,
  numMfcc: 8,
  mfccNorm: "ortho",
  mfccLog: true,
};

/** One recording of nemo-reference.json. */
export interface ReferenceCase {
  readonly kind: FeatureSpec["kind"];
  readonly changes: Partial<FeatureSpec>;
  readonly numSamples: number;
  readonly numMels: number;
  readonly numFrames: number;
  readonly validFrames: number;
  readonly data: readonly number[];
}

interface Reference {
  readonly bases: Readonly<Record<FeatureSpec["kind"], FeatureSpec>>;
  readonly cases: readonly ReferenceCase[];
  /** One frame: its window and the real and imaginary parts of its bins. */
  readonly spectrum: { readonly window: readonly number[]; readonly bins: readonly number[] };
  /** SHA-256 of the powers of one frame's bins as float32, by the frame's size. */
  readonly spectra: Readonly<Record<string, string>>;
}

/** What nemo-reference.py recorded. */
export const reference: Reference = JSON.parse(readFileSync(new URL("./nemo-reference.json", import.meta.url), "utf8"));

/** The front end of a recorded case. */
export function caseSpec({ kind, changes }: Pick<ReferenceCase, "kind" | "changes">): FeatureSpec {
  const spec = { ...reference.bases[kind], ...changes };
  // JSON has null where there is no pre-emphasis.
  return { ...spec, preEmphasis: spec.preEmphasis ?? undefined };
}
