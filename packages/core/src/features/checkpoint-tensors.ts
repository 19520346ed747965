import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { FeatureSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureTensors } from "./kernel.ts";

const PREFIX = "preprocessor.featurizer.";

/** Where the front ends keep their buffers. torchaudio's filterbank lies transposed, `[bin, mel]`. */
const NAMES = {
  mel: { window: "window", filterbank: "fb", isTransposed: false },
  "mel-torchaudio": {
    window: "_mel_spec_extractor.spectrogram.window",
    filterbank: "_mel_spec_extractor.mel_scale.fb",
    isTransposed: true,
  },
  mfcc: {
    window: "MelSpectrogram.spectrogram.window",
    filterbank: "MelSpectrogram.mel_scale.fb",
    isTransposed: true,
  },
} as const;

/**
 * Reads the checkpoint's own window and filterbank; a tensor that it does not have stays absent.
 * @throws SpeechError `MODEL_INVALID` when the filterbank's shape contradicts the description.
 */
export async function readFeatureTensors(checkpoint: Checkpoint, spec: FeatureSpec): Promise<FeatureTensors> {
  const names = NAMES[spec.kind];
  const window = await optional(checkpoint, PREFIX + names.window);
  const filterbank = await optional(checkpoint, PREFIX + names.filterbank);
  if (filterbank === undefined) return { window };

  const numBins = Math.floor(spec.fftSize / 2) + 1;
  const expected = names.isTransposed ? [numBins, spec.numMels] : [1, spec.numMels, numBins];
  const dims = checkpoint.tensors.get(PREFIX + names.filterbank)?.dims ?? [];
  if (dims.join() !== expected.join()) {
    throw new SpeechError(
      "MODEL_INVALID",
      `${checkpoint.name}: expected \`${PREFIX + names.filterbank}\` with shape [${expected.join(", ")}], got [${dims.join(", ")}]. The checkpoint contradicts its configuration.`,
    );
  }
  return { window, filterbank: names.isTransposed ? transposed(filterbank, numBins, spec.numMels) : filterbank };
}

async function optional(checkpoint: Checkpoint, name: string): Promise<Float32Array | undefined> {
  return checkpoint.tensors.has(name) ? checkpoint.readFloat32(name) : undefined;
}

function transposed(data: Float32Array, numRows: number, numColumns: number): Float32Array {
  return Float32Array.from(data, (_, i) => data[(i % numRows) * numColumns + Math.floor(i / numRows)]);
}
