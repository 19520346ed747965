// How fast features are computed, as multiples of real time on one core: `npm run build && node bench/features.mjs`.

import { createFeatureExtractor, createFeatureStream } from "@nemo-stt/core";

const SECONDS = 60;
const PACKET_SAMPLES = 1280;
const MIN_RUNS = 5;
const MIN_MS = 1000;

const streaming = {
  kind: "mel",
  sampleRateHz: 16000,
  windowSamples: 400,
  hopSamples: 160,
  window: "hann",
  fftSize: 512,
  preEmphasis: 0.97,
  numMels: 80,
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
  numMfcc: 64,
  mfccNorm: "ortho",
  mfccLog: true,
};

const waveform = Float32Array.from({ length: SECONDS * streaming.sampleRateHz }, (_, i) => {
  const envelope = 0.5 + 0.5 * Math.sin(i / 9000);
  return 0.3 * envelope * Math.sin(i * 0.05 + 3 * Math.sin(i * 0.0007)) + 0.01 * Math.sin(i * i);
});

/** Milliseconds of processor time that this process has had. */
function processorMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The best of several runs: the others had company. */
function measure(name, run) {
  let best = Number.POSITIVE_INFINITY;
  const begin = performance.now();
  for (let n = 0; n < MIN_RUNS || performance.now() - begin < MIN_MS; n++) {
    const start = processorMs();
    run();
    best = Math.min(best, processorMs() - start);
  }
  const usPerFrame = (best * 1000) / (SECONDS * 100);
  console.log(
    `${name.padEnd(40)} ${((SECONDS * 1000) / best).toFixed(0).padStart(6)} x real time  ${usPerFrame.toFixed(2)} us a frame`,
  );
}

const specs = [
  ["80 mel, not normalised", streaming],
  ["80 mel, per_feature", { ...streaming, normalize: { kind: "per_feature" } }],
  ["128 mel, per_feature", { ...streaming, numMels: 128, normalize: { kind: "per_feature" } }],
  ["64 MFCC", { ...streaming, kind: "mfcc", numMels: 64 }],
];
for (const [name, spec] of specs) {
  const extractor = createFeatureExtractor(spec);
  measure(name, () => extractor.extract(waveform));
}

const stream = createFeatureStream(createFeatureExtractor(streaming));
const frames = new Float32Array(streaming.numMels);
measure("80 mel, streamed in packets of 80 ms", () => {
  for (let from = 0; from < waveform.length; from += PACKET_SAMPLES) {
    stream.feed(waveform.subarray(from, from + PACKET_SAMPLES), (frame) => frames.set(frame));
  }
  stream.finish((frame) => frames.set(frame));
});
