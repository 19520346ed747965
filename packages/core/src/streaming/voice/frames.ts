import { convReach, reachObstacle } from "../../config/receptive-field.ts";
import type { ClassifierSpec, ConvAsrSpec } from "../../config/spec.ts";
import { SpeechError } from "../../errors.ts";
import { createFeatureExtractor, type FeatureExtractor } from "../../features/extractor.ts";
import { createFeatureStream } from "../../features/stream.ts";
import type { AcousticModel, FeatureBatch } from "../../recognition/acoustic.ts";
import { isBatchInvariant, planBatches } from "../../recognition/batching.ts";
import { speechProbability } from "../../recognition/classifier.ts";
import type { ModelPackage } from "../../recognition/package.ts";
import { createFrameBuffer, type FrameBuffer } from "../frame-buffer.ts";
import { createVoiceQueue, type SavedVoice, type VoiceQueue, type VoiceSource, type VoiceStream } from "./voice.ts";

/** Sound that steps are computed together for; a step is found at most this much after it could be. */
const CHUNK_SEC = 0.16;

/** Widths of one batch, in frames: 64 streams of the bundled model. */
const BATCH_LIMITS = { maxRows: 64, maxSteps: 16_000, maxPadding: 0.25 };

/** One stream: its frames, and how far it is. */
interface Lane {
  readonly frames: FrameBuffer;
  readonly queue: VoiceQueue;
  /** Valid frames and all columns of the recording, once it has ended. */
  end: { readonly validFrames: number; readonly numFrames: number } | undefined;
}

/** Frames `[start, end)` of one stream, and the steps that come of them. */
interface Window {
  readonly lane: Lane;
  readonly start: number;
  readonly end: number;
  /** Half open, in steps of the window. */
  readonly firstStep: number;
  readonly endStep: number;
}

/** How far windows reach, in steps. */
interface Reach {
  readonly left: number;
  readonly chunk: number;
  readonly right: number;
}

/**
 * Finds speech with a frame classifier (MarbleNet): features as they come, the encoder on windows that slide in whole
 * chunks.
 *
 * With `lookaheadSec` as long as the convolutions reach, probabilities are those of the whole recording; with less they
 * come earlier and differ a little. What is found does not depend on packets or on other streams.
 * @param lookaheadSec sound behind a step that is waited for; as much as reaches it unless told
 * @throws SpeechError `MODEL_UNSUPPORTED` for a model whose steps depend on the whole recording
 */
export function createFrameSource(
  model: ModelPackage,
  acoustic: AcousticModel,
  classifier: ClassifierSpec,
  lookaheadSec = Number.POSITIVE_INFINITY,
): VoiceSource {
  const { spec } = model;
  const obstacle = reachObstacle(spec);
  if (obstacle !== undefined) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${model.name}: expected a frame classifier whose steps hear a stretch of sound, got ${obstacle}. Use another for live sound.`,
    );
  }
  const encoder = spec.encoder as ConvAsrSpec;
  const factor = encoder.subsamplingFactor;
  const { sampleRateHz } = spec;
  const hopSec = (factor * spec.features.hopSamples) / sampleRateHz;
  const reach = reachOf(encoder, hopSec, lookaheadSec);
  const extractor = createFeatureExtractor(spec.features, model.featureTensors);
  const lanes = new WeakMap<VoiceStream, Lane>();
  const limits = { ...BATCH_LIMITS, maxPadding: isBatchInvariant(spec) ? BATCH_LIMITS.maxPadding : 0 };

  async function hear(streams: readonly VoiceStream[]): Promise<void> {
    const open = streams.flatMap((stream) => lanes.get(stream) ?? []);
    for (let ready = nextWindows(open, reach, factor); ready.length > 0; ready = nextWindows(open, reach, factor)) {
      const widths = ready.map(({ start, end }) => end - start);
      for (const batch of planBatches(widths, limits)) await runWindows(batch.map((i) => ready[i]));
    }
  }

  async function runWindows(windows: readonly Window[]): Promise<void> {
    const { logits, numSteps } = await acoustic.encode(batchOf(windows, extractor.numMels));
    const probability = speechProbability(classifier, logits as Float32Array) as Float32Array;
    windows.forEach(({ lane, firstStep, endStep }, row) => {
      for (let t = firstStep; t < endStep; t++) lane.queue.push(probability[row * numSteps + t]);
      lane.frames.dropBefore((lane.queue.numPositions - reach.left) * factor);
    });
  }

  return {
    id: model.fingerprint,
    sampleRateHz,
    hopSec,
    windowSec: hopSec,
    latencySec: (reach.chunk - 1 + reach.right) * hopSec + extractor.geometry.fftSize / sampleRateHz,
    open(saved) {
      const { stream, lane } = openStream(extractor, saved);
      lanes.set(stream, lane);
      return stream;
    },
    hear,
    close: () => acoustic.close(),
  };
}

function reachOf(encoder: ConvAsrSpec, hopSec: number, lookaheadSec: number): Reach {
  const { leftFrames, rightFrames } = convReach(encoder);
  const steps = (frames: number) => Math.ceil(frames / encoder.subsamplingFactor) + 1;
  return {
    left: steps(leftFrames),
    chunk: Math.max(1, Math.round(CHUNK_SEC / hopSec)),
    right: Math.min(steps(rightFrames), Math.max(0, Math.round(lookaheadSec / hopSec))),
  };
}

/** The next chunk of every stream that has all the frames it hears. */
function nextWindows(lanes: readonly Lane[], { left, chunk, right }: Reach, factor: number): Window[] {
  return lanes.flatMap((lane): Window[] => {
    const { numPositions } = lane.queue;
    const total = lane.end === undefined ? Number.POSITIVE_INFINITY : Math.ceil(lane.end.numFrames / factor);
    const endStep = Math.min(total, numPositions + chunk);
    const heardUpTo = (numPositions + chunk + right) * factor;
    const isReady = lane.end !== undefined || lane.frames.endFrame >= heardUpTo;
    if (!isReady || endStep <= numPositions) return [];
    const first = Math.max(0, numPositions - left);
    const start = first * factor;
    const end = Math.min(heardUpTo, lane.end?.numFrames ?? heardUpTo);
    return [{ lane, start, end, firstStep: numPositions - first, endStep: endStep - first }];
  });
}

/** Windows as one batch; columns of padding behind a recording's end are not valid. */
function batchOf(windows: readonly Window[], numMels: number): FeatureBatch {
  const numFrames = Math.max(...windows.map(({ start, end }) => end - start));
  const data = new Float32Array(windows.length * numMels * numFrames);
  windows.forEach(({ lane, start, end }, row) => {
    const frames = lane.frames.view(start, end);
    for (let t = 0; t < end - start; t++) {
      for (let m = 0; m < numMels; m++) data[(row * numMels + m) * numFrames + t] = frames[t * numMels + m];
    }
  });
  const lengths = windows.map(({ lane, start, end }) => Math.min(end, lane.end?.validFrames ?? end) - start);
  return { data, numMels, numFrames, lengths };
}

function openStream(extractor: FeatureExtractor, saved?: SavedVoice): { stream: VoiceStream; lane: Lane } {
  const features = createFeatureStream(extractor, saved?.features);
  const frames = createFrameBuffer(extractor.numMels, saved?.frames);
  const queue = createVoiceQueue(saved);
  const lane: Lane = { frames, queue, end: undefined };
  const keep = (frame: Float32Array) => frames.push(frame);
  const stream: VoiceStream = {
    feed: (samples) => void features.feed(samples, keep),
    finish() {
      lane.end ??= features.finish(keep);
    },
    get numPositions() {
      return queue.numPositions;
    },
    take: queue.take,
    save: () => ({
      numPositions: queue.numPositions,
      waiting: [...queue.waiting],
      features: features.save(),
      frames: frames.save(),
    }),
  };
  return { stream, lane };
}
