import { stepSec } from "../config/geometry.ts";
import type { ClassifierSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { createFeatureExtractor, type FeatureExtractor } from "../features/extractor.ts";
import type { AcousticModel } from "./acoustic.ts";
import { planBatches } from "./batching.ts";
import type { ModelPackage } from "./package.ts";
import { featureBatch } from "./recognizer.ts";

/** How a window classifier goes over a recording (NeMo's VAD recipe: windows of 0.63 s). */
export interface WindowOptions {
  readonly windowSec?: number;
  readonly hopSec?: number;
}

/** Length of a window in NeMo's recipe for window classifiers. */
export const WINDOW_SEC = 0.63;
/** Distance of windows. */
export const HOP_SEC = 0.08;

/** Class probabilities of a recording over time. */
export interface ClassifiedRecording {
  readonly labels: readonly string[];
  /** `[position, class]` after softmax. */
  readonly probabilities: Float32Array;
  readonly numPositions: number;
  /** Distance of positions. */
  readonly hopSec: number;
  /** What one position covers: a window, or one step. */
  readonly windowSec: number;
  /** Probability of speech at every position, where the labels name speech. */
  readonly probability: Float32Array | undefined;
}

/** Runs a classifier over a recording: a frame classifier once, a pooled one on overlapping windows. */
export async function classifyWindows(
  model: ModelPackage,
  acoustic: AcousticModel,
  waveform: Float32Array,
  options: WindowOptions = {},
): Promise<ClassifiedRecording> {
  const spec = classifierOf(model);
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  if (spec.kind === "frame") return classifySteps(model, spec, acoustic, extractor, waveform);
  const rate = model.spec.sampleRateHz;
  const windowSec = options.windowSec ?? WINDOW_SEC;
  const hopSec = options.hopSec ?? HOP_SEC;
  const windowSamples = Math.round(windowSec * rate);
  const hopSamples = Math.round(hopSec * rate);
  const numPositions = Math.max(0, Math.floor((waveform.length - windowSamples) / hopSamples) + 1);
  const starts = Array.from({ length: numPositions }, (_, i) => i * hopSamples);
  const windows = starts.map((start) => waveform.subarray(start, start + windowSamples));
  const logits = await pooledLogits(acoustic, extractor, windows, spec.numClasses);
  return classified(spec, logits, numPositions, hopSec, windowSec);
}

/** Class probabilities of whole recordings, one answer each (speech commands, languages). */
export async function classifyRecordings(
  model: ModelPackage,
  acoustic: AcousticModel,
  waveforms: readonly Float32Array[],
): Promise<Float32Array[]> {
  const spec = classifierOf(model);
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  // NeMo pools over the padding of a batch too: recordings of different lengths are run alone.
  return Promise.all(
    waveforms.map(async (waveform) =>
      softmaxRows(await pooledLogits(acoustic, extractor, [waveform], spec.numClasses), spec),
    ),
  );
}

function classifierOf(model: ModelPackage): ClassifierSpec {
  const { classifier } = model.spec.heads;
  if (classifier) return classifier;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${model.name}: expected a classifier, got ${model.spec.className}, which writes text. Use \`transcribe\`.`,
  );
}

/** Logits `[window, class]` of windows that are all of one length, so that they share batches without padding. */
export async function pooledLogits(
  acoustic: AcousticModel,
  extractor: FeatureExtractor,
  windows: readonly Float32Array[],
  numClasses: number,
): Promise<Float32Array> {
  const all = new Float32Array(windows.length * numClasses);
  const numSteps = windows.map((window) => extractor.frameCounts(window.length).numFrames);
  for (const batch of planBatches(numSteps, { maxRows: 64, maxSteps: 4000, maxPadding: 0 })) {
    const { logits } = await acoustic.encode(
      featureBatch(
        extractor,
        batch.map((i) => windows[i]),
      ),
    );
    batch.forEach((i, row) => {
      all.set((logits as Float32Array).subarray(row * numClasses, (row + 1) * numClasses), i * numClasses);
    });
  }
  return all;
}

async function classifySteps(
  model: ModelPackage,
  spec: ClassifierSpec,
  acoustic: AcousticModel,
  extractor: FeatureExtractor,
  waveform: Float32Array,
): Promise<ClassifiedRecording> {
  const { logits, numSteps } = await acoustic.encode(featureBatch(extractor, [waveform]));
  const hop = stepSec(model.spec);
  return classified(spec, logits as Float32Array, numSteps, hop, hop);
}

function classified(
  spec: ClassifierSpec,
  logits: Float32Array,
  numPositions: number,
  hopSec: number,
  windowSec: number,
): ClassifiedRecording {
  const probabilities = softmaxRows(logits, spec);
  const probability = speechColumn(spec, probabilities);
  return { labels: spec.labels, probabilities, numPositions, hopSec, windowSec, probability };
}

/** Probability of speech for every row of `[row, class]` logits; undefined where no class means speech. */
export function speechProbability(spec: ClassifierSpec, logits: Float32Array): Float32Array | undefined {
  return speechColumn(spec, softmaxRows(logits, spec));
}

function speechColumn(spec: ClassifierSpec, probabilities: Float32Array): Float32Array | undefined {
  const speech = speechClass(spec);
  if (speech === undefined) return undefined;
  const { numClasses } = spec;
  const numRows = probabilities.length / numClasses;
  return Float32Array.from({ length: numRows }, (_, i) => probabilities[i * numClasses + speech]);
}

/** The class that means speech: labelled so, or the second of NeMo's two unnamed frame labels. */
export function speechClass({ labels, kind, numClasses }: ClassifierSpec): number | undefined {
  const named = labels.findIndex((label) => label.toLowerCase() === "speech");
  if (named >= 0) return named;
  return kind === "frame" && numClasses === 2 ? 1 : undefined;
}

/** Softmax of every row; log-probabilities come out as probabilities, and probabilities of the model itself stay. */
function softmaxRows(logits: Float32Array, { numClasses, softmax }: ClassifierSpec): Float32Array {
  if (softmax) return logits;
  const out = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += numClasses) {
    let peak = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < numClasses; i++) peak = Math.max(peak, logits[start + i]);
    let sum = 0;
    for (let i = 0; i < numClasses; i++) sum += Math.exp(logits[start + i] - peak);
    for (let i = 0; i < numClasses; i++) out[start + i] = Math.exp(logits[start + i] - peak) / sum;
  }
  return out;
}
