import {
  type ConfigBlock,
  childBlock,
  flagOr,
  ignoreKeys,
  modelError,
  rejectUnknownKeys,
  targetOf,
  unsupportedValue,
} from "./block.ts";
import { describeTemperature } from "./decoding.ts";
import type { CtcSpec } from "./spec.ts";
import { requireLayer, requireRank, type TensorTable } from "./tensor-table.ts";

/**
 * Describes a `ConvASRDecoder` (conv_asr.py): one convolution of kernel 1, blank last.
 * @param owner the block that holds `decoder` and `decoding`: the root, or `aux_ctc` in hybrids
 */
export function describeCtc(owner: ConfigBlock, table: TensorTable, prefix: string, encoderSize: number): CtcSpec {
  const block = childBlock(owner, "decoder");
  if (block !== undefined) {
    const target = targetOf(block) ?? "ConvASRDecoder";
    if (target !== "ConvASRDecoder") {
      throw modelError(
        "MODEL_UNSUPPORTED",
        `model_config.yaml: \`${block.path}\` is a ${target}, supported for CTC is ConvASRDecoder.`,
      );
    }
    if (!flagOr(block, "add_blank", true)) throw unsupportedValue(block, "add_blank", "true");
    ignoreKeys(block, ["feat_in", "num_classes", "init_mode", "vocabulary"]);
    rejectUnknownKeys(block);
  }
  const [numClasses] = requireRank(table, `${prefix}decoder_layers.0.weight`, 3);
  const from = `an encoder of ${encoderSize}`;
  requireLayer(table, `${prefix}decoder_layers.0`, [numClasses, encoderSize, 1], from);
  return { prefix, numClasses, temperature: describeTemperature(owner) };
}
