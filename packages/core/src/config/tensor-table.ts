import type { TensorInfo } from "../checkpoint/checkpoint.ts";
import type { SpeechError } from "../errors.ts";
import { modelError } from "./block.ts";

/** The tensors of a checkpoint and which of them the description has accounted for. */
export interface TensorTable {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly claimed: Set<string>;
}

/**
 * Tensors without effect on what is computed at inference: counters, losses, augmentation, metrics, tables that NeMo
 * computes anew. The preprocessor's buffers are read by the front end, which checks them.
 */
const INERT = [
  /\.num_batches_tracked$/,
  /^(ctc_)?loss\./,
  /^(ctc_)?wer\./,
  /^_?(macro_)?accuracy\./,
  /^spec_augmentation\./,
  /^preprocessor\./,
  /\.pos_enc\.(.*\.)?pe$/,
  /\.seq_range$/,
];

/** A table over the checkpoint's index. */
export function tensorTable(tensors: ReadonlyMap<string, TensorInfo>): TensorTable {
  return { tensors, claimed: new Set() };
}

/** The shape of a tensor; undefined where there is none. */
export function dimsOf(table: TensorTable, name: string): readonly number[] | undefined {
  return table.tensors.get(name)?.dims;
}

/** True where any tensor's name begins so. */
export function hasPrefix(table: TensorTable, prefix: string): boolean {
  for (const name of table.tensors.keys()) if (name.startsWith(prefix)) return true;
  return false;
}

/** The first tensor whose name fits. */
export function findTensor(table: TensorTable, pattern: RegExp): string | undefined {
  for (const name of table.tensors.keys()) if (pattern.test(name)) return name;
  return undefined;
}

/**
 * A tensor that has to be there with this rank; its sizes are what the description is made from.
 * @throws SpeechError `MODEL_INVALID`.
 */
export function requireRank(table: TensorTable, name: string, rank: number): readonly number[] {
  const dims = dimsOf(table, name);
  if (dims === undefined) throw missing(name);
  if (dims.length !== rank || dims.some((d) => d < 1)) {
    throw modelError("MODEL_INVALID", `weight \`${name}\` has shape [${dims.join(", ")}], expected ${rank} axes.`);
  }
  table.claimed.add(name);
  return dims;
}

/**
 * Accounts for a tensor that has to be there with this shape.
 * @param from where the expectation comes from, for the message
 * @throws SpeechError `MODEL_INVALID`, with both shapes.
 */
export function requireTensor(table: TensorTable, name: string, dims: readonly number[], from: string): void {
  const got = dimsOf(table, name);
  if (got === undefined) throw missing(name);
  if (got.length !== dims.length || got.some((d, i) => d !== dims[i])) {
    throw modelError(
      "MODEL_INVALID",
      `weight \`${name}\` has shape [${got.join(", ")}], expected [${dims.join(", ")}] from ${from}.`,
    );
  }
  table.claimed.add(name);
}

/** Accounts for the weight and, where `hasBias`, the bias of a layer. Biases stand on the first axis. */
export function requireLayer(
  table: TensorTable,
  prefix: string,
  dims: readonly number[],
  from: string,
  hasBias = true,
): void {
  requireTensor(table, `${prefix}.weight`, dims, from);
  if (hasBias) requireTensor(table, `${prefix}.bias`, [dims[0]], from);
}

/**
 * Closes the table: a tensor that belongs to nothing described means that the model computes something else.
 * @throws SpeechError `MODEL_UNSUPPORTED`, naming the tensor.
 */
export function rejectUnknownTensors(table: TensorTable): void {
  for (const [name, { dims }] of table.tensors) {
    if (table.claimed.has(name) || INERT.some((pattern) => pattern.test(name))) continue;
    throw modelError(
      "MODEL_UNSUPPORTED",
      `weight \`${name}\` [${dims.join(", ")}] belongs to no part of the model that is known here, and leaving it out would change the result.`,
    );
  }
}

function missing(name: string): SpeechError {
  return modelError("MODEL_INVALID", `weight \`${name}\` is missing. The checkpoint is incomplete.`);
}
