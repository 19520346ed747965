import type { ClassifierSpec } from "../../config/spec.ts";
import { createFeatureExtractor } from "../../features/extractor.ts";
import type { AcousticModel } from "../../recognition/acoustic.ts";
import { HOP_SEC, pooledLogits, speechProbability, WINDOW_SEC } from "../../recognition/classifier.ts";
import type { ModelPackage } from "../../recognition/package.ts";
import { createSampleBuffer, type SampleBuffer } from "../sample-buffer.ts";
import { createVoiceQueue, type SavedVoice, type VoiceQueue, type VoiceSource, type VoiceStream } from "./voice.ts";

interface Lane {
  readonly samples: SampleBuffer;
  readonly queue: VoiceQueue;
}

/**
 * Finds speech with a classifier of windows (MarbleNet, NeMo's recipe: 0.63 s every 0.08 s). Every window is computed as
 * in `classifyWindows`, so the probabilities are the same.
 */
export function createWindowSource(
  model: ModelPackage,
  acoustic: AcousticModel,
  classifier: ClassifierSpec,
): VoiceSource {
  const { sampleRateHz } = model.spec;
  const windowSamples = Math.round(WINDOW_SEC * sampleRateHz);
  const hopSamples = Math.round(HOP_SEC * sampleRateHz);
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  const lanes = new WeakMap<VoiceStream, Lane>();

  /** Where the windows of a stream begin that are complete and not computed. */
  function startsOf({ samples, queue }: Lane): number[] {
    const numComplete = Math.floor((samples.endSample - windowSamples) / hopSamples) + 1;
    const count = Math.max(0, numComplete - queue.numPositions);
    return Array.from({ length: count }, (_, i) => (queue.numPositions + i) * hopSamples);
  }

  return {
    id: model.fingerprint,
    sampleRateHz,
    hopSec: HOP_SEC,
    windowSec: WINDOW_SEC,
    // A window decides about its middle: half of it is still to come.
    latencySec: (WINDOW_SEC - HOP_SEC) / 2,
    open(saved) {
      const { stream, lane } = openStream(saved);
      lanes.set(stream, lane);
      return stream;
    },
    async hear(streams) {
      const ready = streams.flatMap((stream) => {
        const lane = lanes.get(stream);
        return lane ? startsOf(lane).map((start) => ({ lane, start })) : [];
      });
      // Copies, because sound may come while they are computed.
      const windows = ready.map(({ lane, start }) => lane.samples.view(start, start + windowSamples).slice());
      const logits = await pooledLogits(acoustic, extractor, windows, classifier.numClasses);
      const probability = speechProbability(classifier, logits) as Float32Array;
      ready.forEach(({ lane, start }, i) => {
        lane.queue.push(probability[i]);
        lane.samples.dropBefore(start + hopSamples);
      });
    },
    close: () => acoustic.close(),
  };
}

function openStream(saved?: SavedVoice): { stream: VoiceStream; lane: Lane } {
  const samples = createSampleBuffer(saved?.samples);
  const queue = createVoiceQueue(saved);
  const stream: VoiceStream = {
    feed: (packet) => samples.append(packet),
    // Windows that are not full have no probability, in a whole recording neither.
    finish() {},
    get numPositions() {
      return queue.numPositions;
    },
    take: queue.take,
    save: () => ({ numPositions: queue.numPositions, waiting: [...queue.waiting], samples: samples.save() }),
  };
  return { stream, lane: { samples, queue } };
}
