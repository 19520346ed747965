import { SpeechError } from "../errors.ts";
import type { Encoded, FeatureBatch } from "./acoustic.ts";
import type { ForeignEncoder } from "./foreign-encoder.ts";
import type { ForeignShapes } from "./foreign-spec.ts";
import type { ForeignTransducer } from "./foreign-transducer.ts";
import type { Head } from "./head-decoder.ts";

/** The loaded networks of another exporter: a CTC graph, a transducer's graphs, or those of both heads of a hybrid. */
export interface ForeignNetworks {
  /** Encoder and CTC head in one. */
  readonly ctc: ForeignEncoder | undefined;
  /** The transducer's encoder. */
  readonly encoder: ForeignEncoder | undefined;
  readonly transducer: ForeignTransducer | undefined;
}

/**
 * What the networks show of their model.
 * @throws SpeechError `MODEL_INVALID` where the two encoders of a hybrid are not of one model
 */
export function shapesOf(folder: string, { ctc, encoder, transducer }: ForeignNetworks): ForeignShapes {
  const either = (encoder ?? ctc) as ForeignEncoder;
  const isPair = !ctc || (ctc.numMels === either.numMels && ctc.subsamplingFactor === either.subsamplingFactor);
  if (!isPair) {
    throw new SpeechError(
      "MODEL_INVALID",
      `${folder}: expected the CTC graph and the transducer's to be of one model, got ${ctc.numMels} and ${either.numMels} features, ${ctc.subsamplingFactor} and ${either.subsamplingFactor} frames a step. Name the graph that is meant.`,
    );
  }
  return {
    numMels: either.numMels,
    outSize: encoder?.rowSize ?? 0,
    subsamplingFactor: either.subsamplingFactor,
    numClasses: ctc?.rowSize,
    transducer: transducer && { ...transducer, numOutputs: transducer.networks.numOutputs },
  };
}

/**
 * Encodes every recording by itself, without padding: exported masks are of many kinds, and NeMo takes those of
 * convolutional encoders out, so that frames beyond a recording would change its numbers.
 */
export async function encodeForeign(
  { ctc, encoder }: ForeignNetworks,
  batch: FeatureBatch,
  head: Head | undefined,
): Promise<Encoded> {
  const projected = encoder && head !== "ctc" ? await encodeRows(encoder, batch) : undefined;
  const logProbs = ctc && head !== "transducer" ? await encodeRows(ctc, batch) : undefined;
  const { numSteps, lengths } = (projected ?? logProbs) as EncodedRows;
  return {
    numSteps,
    lengths,
    encoded: projected && encoder ? channelMajor(projected.data, encoder.rowSize, numSteps) : new Float32Array(0),
    projected: projected?.data,
    logProbs: logProbs?.data,
  };
}

interface EncodedRows {
  readonly numSteps: number;
  readonly lengths: readonly number[];
  /** `[batch, step, row]` */
  readonly data: Float32Array;
}

async function encodeRows(encoder: ForeignEncoder, batch: FeatureBatch): Promise<EncodedRows> {
  const recordings: Float32Array[] = [];
  for (let row = 0; row < batch.lengths.length; row++) {
    recordings.push(batch.lengths[row] > 0 ? await encoder.run(recordingOf(batch, row)) : new Float32Array(0));
  }
  const lengths = recordings.map((rows) => rows.length / encoder.rowSize);
  const numSteps = Math.max(...lengths);
  const data = new Float32Array(recordings.length * numSteps * encoder.rowSize);
  recordings.forEach((rows, i) => {
    data.set(rows, i * numSteps * encoder.rowSize);
  });
  return { numSteps, lengths, data };
}

/** The valid frames of one recording, `[mel, frame]`. */
function recordingOf({ data, numMels, numFrames, lengths }: FeatureBatch, row: number): Float32Array {
  const width = lengths[row];
  const features = new Float32Array(numMels * width);
  for (let m = 0; m < numMels; m++) {
    const start = (row * numMels + m) * numFrames;
    features.set(data.subarray(start, start + width), m * width);
  }
  return features;
}

/** `[batch, step, model]` → `[batch, model, step]`. */
function channelMajor(rows: Float32Array, size: number, numSteps: number): Float32Array {
  const out = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const step = Math.floor(i / size);
    const row = Math.floor(step / numSteps);
    out[(row * size + (i % size)) * numSteps + (step % numSteps)] = rows[i];
  }
  return out;
}
