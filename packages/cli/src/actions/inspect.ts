import { stat } from "node:fs/promises";
import {
  type ConformerSpec,
  contextsOf,
  describeCheckpoint,
  isSpeechError,
  type ModelSpec,
  stepSec,
  type TensorInfo,
} from "@nemo-stt/core";
import { locateModel, withRawCheckpoint } from "@nemo-stt/node";
import type { InspectFlags } from "../commands/inspect.ts";
import type { Console } from "../console.ts";
import { printable } from "../messages.ts";

/** What `inspect` finds out about a checkpoint. */
interface Inspection {
  readonly name: string;
  readonly className: string;
  readonly nemoVersion: string | undefined;
  readonly sizeBytes: number;
  readonly numTensors: number;
  readonly numParameters: number;
  readonly storage: Readonly<Record<string, number>>;
  readonly isSupported: boolean;
  /** Why not, where it is not. */
  readonly reason: string | undefined;
  readonly spec: ModelSpec | undefined;
  readonly tensors: readonly Pick<TensorInfo, "name" | "dims" | "type">[];
}

/** Shows what a checkpoint is. */
export async function showInspection(model: string, flags: InspectFlags, console: Console): Promise<void> {
  const { tensors, ...facts } = await inspect(model);
  if (flags.json) return console.out(JSON.stringify(flags.tensors ? { ...facts, tensors } : facts, null, 1));
  console.out(describe(facts));
  if (!flags.tensors) return;
  for (const { name, dims, type } of tensors) console.out(`${printable(name)}  [${dims.join(", ")}]  ${type}`);
}

/** Opens a checkpoint, reads its index and describes its model. */
async function inspect(model: string): Promise<Inspection> {
  const path = await locateModel(model);
  return withRawCheckpoint(path, async (checkpoint) => {
    const tensors = [...checkpoint.tensors.values()];
    const storage: Record<string, number> = {};
    for (const { type } of tensors) storage[type] = (storage[type] ?? 0) + 1;
    const described = await describeCheckpoint(checkpoint).catch((error: unknown) => {
      if (isSpeechError(error)) return error;
      throw error;
    });
    const isRefused = described instanceof Error;
    const { target, _target_, nemo_version: version } = checkpoint.config;
    return {
      name: checkpoint.name,
      className:
        String(target ?? _target_ ?? "unknown")
          .split(".")
          .at(-1) ?? "unknown",
      nemoVersion: version === undefined ? undefined : String(version),
      sizeBytes: (await stat(path)).isFile() ? (await stat(path)).size : checkpoint.source.sizeBytes,
      numTensors: tensors.length,
      numParameters: tensors.filter(isParameter).reduce((sum, { dims }) => sum + dims.reduce((n, d) => n * d, 1), 0),
      storage,
      isSupported: !isRefused,
      reason: isRefused ? described.message : undefined,
      spec: isRefused ? undefined : described.spec,
      tensors: tensors.map(({ name, dims, type }) => ({ name, dims, type })),
    };
  });
}

/** Not windows, filterbanks or running statistics, which training does not learn. */
const isParameter = ({ name }: TensorInfo): boolean =>
  !name.startsWith("preprocessor.") && !/\.(running_mean|running_var|num_batches_tracked)$/.test(name);

function describe(facts: Omit<Inspection, "tensors">): string {
  const { className, nemoVersion, sizeBytes, numTensors, numParameters, storage, spec } = facts;
  const size = `${(sizeBytes / 1e6).toFixed(1)} MB, ${numTensors} tensors, ${(numParameters / 1e6).toFixed(2)} M parameters`;
  const rows: [string, string][] = [
    ["model", facts.name],
    ["class", nemoVersion ? `${className}, saved by NeMo ${nemoVersion}` : className],
    ["size", size],
    [
      "stored as",
      Object.entries(storage)
        .map(([type, count]) => `${count} × ${type}`)
        .join(", "),
    ],
    ["supported", facts.isSupported ? "yes" : `no: ${facts.reason}`],
    ...(spec ? specRows(spec) : []),
  ];
  const width = Math.max(...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${key.padEnd(width)}  ${printable(value)}`).join("\n");
}

function specRows(spec: ModelSpec): [string, string][] {
  const { features, encoder, heads, tokenizer } = spec;
  const mel = `${features.kind === "mfcc" ? `${features.numMfcc} MFCC of ` : ""}${features.numMels} mel`;
  const contexts = contextsOf(spec).map((context) => `[${context.join(",")}]`);
  const style = encoder.kind === "conformer" ? ` (${encoder.attention.style})` : "";
  const found = [
    heads.ctc && `CTC (${heads.ctc.numClasses} classes)`,
    heads.transducer && transducerText(heads.transducer),
    heads.classifier && `${heads.classifier.kind} classifier: ${heads.classifier.labels.slice(0, 12).join(", ")}`,
  ];
  const kind = tokenizer?.kind === "aggregate" ? `aggregate: ${tokenizer.parts.map((p) => p.lang)}` : tokenizer?.kind;
  return [
    [
      "features",
      `${mel}, ${features.windowSamples}/${features.hopSamples} samples at ${features.sampleRateHz} Hz, normalize ${features.normalize.kind}`,
    ],
    ["encoder", encoderText(encoder)],
    ["step", `${(stepSec(spec) * 1000).toFixed(0)} ms`],
    ...(contexts.length > 0 ? [["att contexts", `${contexts.join(" ")}${style}`] as [string, string]] : []),
    ["heads", found.filter(Boolean).join(" + ")],
    ...(kind ? [["tokenizer", kind] as [string, string]] : []),
  ];
}

function encoderText(encoder: ModelSpec["encoder"]): string {
  switch (encoder.kind) {
    case "conformer":
      return conformerText(encoder);
    case "convasr":
      return `ConvASR, ${encoder.blocks.length} blocks, ${encoder.outSize} channels`;
    case "graph":
      return `a graph, ${encoder.outSize} channels`;
  }
}

function conformerText({ subsampling, attention, ...encoder }: ConformerSpec): string {
  const name = subsampling.kind === "dw_striding" ? "FastConformer" : "Conformer";
  return [
    `${name} ${encoder.numLayers} × ${encoder.modelSize}, ${encoder.numHeads} heads`,
    `${subsampling.kind} ×${subsampling.factor}${subsampling.isCausal ? " causal" : ""}`,
    `kernel ${encoder.convKernel}`,
    encoder.convNorm.kind,
    attention.kind,
  ].join(", ");
}

function transducerText({
  kind,
  durations,
  prediction,
  vocabularySize,
}: NonNullable<ModelSpec["heads"]["transducer"]>) {
  const network =
    prediction.kind === "lstm"
      ? `LSTM ${prediction.numLayers} × ${prediction.hiddenSize}`
      : `stateless, ${prediction.contextSize} labels`;
  return `${kind === "tdt" ? `TDT durations ${durations.join(",")}` : "RNNT"} (${vocabularySize} tokens, ${network})`;
}
