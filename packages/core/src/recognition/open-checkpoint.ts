import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { describeModel } from "../config/describe.ts";
import type { ExportSource } from "../export/export.ts";
import { openTokenizer } from "../tokenizer/open.ts";

/**
 * Describes an open checkpoint and opens its tokenizer.
 * @throws SpeechError `MODEL_UNSUPPORTED` or `MODEL_INVALID` naming what is the matter
 */
export async function describeCheckpoint(checkpoint: Checkpoint): Promise<ExportSource> {
  const spec = describeModel(checkpoint.config, checkpoint.tensors, checkpoint.artifactNames);
  const tokenizer = spec.tokenizer && (await openTokenizer(spec.tokenizer, (value) => checkpoint.artifact(value)));
  return { checkpoint, spec, tokenizer };
}
