import type { FeatureSpec } from "../config/spec.ts";
import { createPowerSpectrum } from "./fft.ts";
import { applyBands, createFilterbank, filterBands } from "./filterbank.ts";
import type { FrameGeometry } from "./geometry.ts";
import { createWindow } from "./window.ts";

/** What a checkpoint brings for its front end. What is absent is rebuilt from the description. */
export interface FeatureTensors {
  /** `[windowSamples]` */
  readonly window?: Float32Array;
  /** `[mel, bin]` */
  readonly filterbank?: Float32Array;
}

/** Computes the mel values of one frame, `signal[start, start + fftSize)`, into `mels`; logarithms where configured. */
export type MelKernel = (signal: Float64Array, start: number, mels: Float64Array) => void;

/** torchaudio `MFCC.forward`: what is added before the logarithm. */
const MFCC_LOG_OFFSET = 1e-6;
/** torchaudio `AmplitudeToDB("power")`: powers below count as this. */
const DECIBEL_FLOOR = 1e-10;

/**
 * Creates the part of a front end that turns one frame into mel values.
 *
 * Not reentrant: scratch memory is shared by the calls.
 */
export function createMelKernel(spec: FeatureSpec, geometry: FrameGeometry, tensors: FeatureTensors): MelKernel {
  const numBins = Math.floor(spec.fftSize / 2) + 1;
  const window = new Float64Array(spec.fftSize);
  window.set(
    tensors.window ?? createWindow(spec.window, spec.windowSamples, spec.kind === "mfcc"),
    geometry.windowStart,
  );
  const bands = filterBands(tensors.filterbank ?? defaultFilterbank(spec), spec.numMels);
  const spectrum = createPowerSpectrum(window);
  const power = new Float64Array(numBins);
  // MFCC and torchaudio's mel spectrogram are always made of powers.
  const magPower = spec.kind === "mel" ? spec.magPower : 2;
  const compress = compression(spec);

  return (signal, start, mels) => {
    spectrum(signal, start, power);
    raiseMagnitudes(power, magPower);
    applyBands(bands, power, mels);
    compress(mels);
  };
}

/** Magnitudes to a power, out of powers, in place; NeMo takes the root and squares it again, in float32. */
function raiseMagnitudes(power: Float64Array, exponent: number): void {
  const { fround, sqrt } = Math;
  for (let k = 0; k < power.length; k++) {
    const magnitude = fround(sqrt(fround(power[k])));
    power[k] = exponent === 1 ? magnitude : fround(exponent === 2 ? magnitude * magnitude : magnitude ** exponent);
  }
}

function defaultFilterbank(spec: FeatureSpec): Float32Array {
  const { sampleRateHz, fftSize, numMels, lowHz, highHz } = spec;
  const isMfcc = spec.kind === "mfcc";
  const norm = isMfcc ? "none" : spec.melNorm;
  return createFilterbank({ sampleRateHz, fftSize, numMels, lowHz, highHz, scale: isMfcc ? "htk" : "slaney", norm });
}

function compression(spec: FeatureSpec): (mels: Float64Array) => void {
  if (spec.kind === "mfcc") return spec.mfccLog ? logOfSum(MFCC_LOG_OFFSET) : decibels;
  if (!spec.log) return () => {};
  const { kind, value } = spec.logZeroGuard;
  return kind === "add" ? logOfSum(value) : logOfMax(value);
}

function logOfSum(guard: number): (mels: Float64Array) => void {
  return (mels) => {
    for (let m = 0; m < mels.length; m++) mels[m] = Math.log(Math.fround(mels[m] + guard));
  };
}

function logOfMax(guard: number): (mels: Float64Array) => void {
  return (mels) => {
    for (let m = 0; m < mels.length; m++) mels[m] = Math.log(Math.max(mels[m], guard));
  };
}

function decibels(mels: Float64Array): void {
  for (let m = 0; m < mels.length; m++) mels[m] = 10 * Math.log10(Math.max(mels[m], DECIBEL_FLOOR));
}
