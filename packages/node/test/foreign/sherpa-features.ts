import { createFeatureExtractor, type FeatureBatch, type FeatureSpec } from "@nemo-stt/core";

/** sherpa-onnx has two front ends for NeMo's offline models, and a third for CTC in streams. */
export type SherpaPath = "ctc" | "transducer" | "streaming-ctc";

/** `std::numeric_limits<float>::epsilon()`, the floor of its logarithm. */
const FLOOR = 2 ** -23;

/**
 * The features that sherpa-onnx 1.13.8 computes for NeMo's models: kaldi-native-fbank with whole frames around the middle
 * of every hop (half a hop later than NeMo's), the recording's own reflection at its ends and pre-emphasis frame by
 * frame. Offline CTC and transducers in streams have a periodic Hann window and all of the band, offline transducers a
 * Povey window and end at 7600 Hz. CTC in streams has Kaldi's own: a Povey window over frames without their mean, and
 * Kaldi's mel bands from 20 to 7600 Hz.
 */
export function sherpaFeatures(spec: FeatureSpec, waveform: Float32Array, path: SherpaPath): FeatureBatch {
  const { windowSamples, hopSamples, fftSize, numMels } = spec;
  const isKaldi = path === "streaming-ctc";
  const kernel = createFeatureExtractor(
    {
      ...spec,
      preEmphasis: undefined,
      highHz: path === "ctc" ? 8000 : 7600,
      logZeroGuard: { kind: "clamp", value: FLOOR },
      normalize: { kind: "none" },
    },
    {
      window: sherpaWindow(windowSamples, path),
      ...(isKaldi && { filterbank: kaldiFilterbank(numMels, fftSize, spec.sampleRateHz) }),
    },
  );
  const numFrames = Math.floor((waveform.length + hopSamples / 2) / hopSamples);
  const data = new Float32Array(numMels * numFrames);
  const frame = new Float64Array(fftSize + 2);
  const margin = (fftSize - windowSamples) / 2;
  for (let t = 0; t < numFrames; t++) {
    const start = hopSamples * t + hopSamples / 2 - windowSamples / 2;
    const samples = Float64Array.from({ length: windowSamples }, (_, i) => reflected(waveform, start + i));
    const mean = isKaldi ? samples.reduce((sum, v) => sum + v, 0) / windowSamples : 0;
    for (let i = 0; i < windowSamples; i++) {
      frame[margin + i] = samples[i] - mean - 0.97 * (samples[Math.max(0, i - 1)] - mean);
    }
    kernel.column(frame, 0).forEach((value, m) => {
      data[m * numFrames + t] = value;
    });
  }
  if (spec.normalize.kind === "per_feature") normalizeRows(data, numFrames);
  return { data, numMels, numFrames, lengths: [numFrames] };
}

function sherpaWindow(size: number, path: SherpaPath): Float32Array {
  const period = path === "ctc" ? size : size - 1;
  const exponent = path === "ctc" ? 1 : 0.85;
  return Float32Array.from({ length: size }, (_, i) => (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / period)) ** exponent);
}

/** Triangles of equal width in Kaldi's mel scale from 20 to 7600 Hz, each with peak 1: `[mel, bin]`. */
function kaldiFilterbank(numMels: number, fftSize: number, rateHz: number): Float32Array {
  const mel = (hz: number) => 1127 * Math.log(1 + hz / 700);
  const numBins = fftSize / 2 + 1;
  const low = mel(20);
  const width = (mel(7600) - low) / (numMels + 1);
  const weights = new Float32Array(numMels * numBins);
  for (let m = 0; m < numMels; m++) {
    const center = low + (m + 1) * width;
    for (let bin = 0; bin < numBins - 1; bin++) {
      const distance = Math.abs(mel((bin * rateHz) / fftSize) - center) / width;
      weights[m * numBins + bin] = Math.max(0, 1 - distance);
    }
  }
  return weights;
}

function reflected(waveform: Float32Array, index: number): number {
  let i = index;
  while (i < 0 || i >= waveform.length) i = i < 0 ? -i - 1 : 2 * waveform.length - 1 - i;
  return waveform[i];
}

/** Mean 0 and standard deviation 1 of every row, by the number of frames and not one less. */
function normalizeRows(data: Float32Array, numFrames: number): void {
  for (let start = 0; start < data.length; start += numFrames) {
    const row = data.subarray(start, start + numFrames);
    const mean = row.reduce((sum, v) => sum + v, 0) / numFrames;
    const variance = row.reduce((sum, v) => sum + v * v, 0) / numFrames - mean * mean;
    for (let t = 0; t < numFrames; t++) row[t] = (row[t] - mean) / (Math.sqrt(variance) + 1e-5);
  }
}
