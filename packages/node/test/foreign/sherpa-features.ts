import { createFeatureExtractor, type FeatureBatch, type FeatureSpec } from "@nemo-stt/core";

/** sherpa-onnx has two front ends for NeMo's offline models. */
export type SherpaPath = "ctc" | "transducer";

/** `std::numeric_limits<float>::epsilon()`, the floor of its logarithm. */
const FLOOR = 2 ** -23;

/**
 * The features that sherpa-onnx 1.13.8 computes for NeMo's offline models: kaldi-native-fbank with whole frames around
 * the middle of every hop (half a hop later than NeMo's), the recording's own reflection at its ends and pre-emphasis
 * frame by frame. CTC has a periodic Hann window and all of the band, transducers have a Povey window and end at 7600 Hz.
 */
export function sherpaFeatures(spec: FeatureSpec, waveform: Float32Array, path: SherpaPath): FeatureBatch {
  const { windowSamples, hopSamples, fftSize, numMels } = spec;
  const kernel = createFeatureExtractor(
    {
      ...spec,
      preEmphasis: undefined,
      highHz: path === "ctc" ? 8000 : 7600,
      logZeroGuard: { kind: "clamp", value: FLOOR },
      normalize: { kind: "none" },
    },
    { window: sherpaWindow(windowSamples, path) },
  );
  const numFrames = Math.floor((waveform.length + hopSamples / 2) / hopSamples);
  const data = new Float32Array(numMels * numFrames);
  const frame = new Float64Array(fftSize + 2);
  const margin = (fftSize - windowSamples) / 2;
  for (let t = 0; t < numFrames; t++) {
    const start = hopSamples * t + hopSamples / 2 - windowSamples / 2;
    for (let i = 0; i < windowSamples; i++) {
      const previous = reflected(waveform, start + Math.max(0, i - 1));
      frame[margin + i] = reflected(waveform, start + i) - 0.97 * previous;
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
