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
import type { Command } from "commander";
import type { Console } from "../console.ts";

/** What `inspect` finds out about a checkpoint. */
export interface Inspection {
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

/** `nemo-stt inspect X.nemo`. */
export function registerInspect(program: Command, console: Console): void {
  program
    .command("inspect")
    .description("Show what a checkpoint is: architecture, geometry, tokenizer, contexts, size; supported or why not.")
    .argument("<model>", "a .nemo file, the folder of an extracted one, or a pulled model's name")
    .option("--json", "everything as one JSON object")
    .option("--tensors", "list all tensors with shape and type")
    .action(async (model: string, options: { json?: boolean; tensors?: boolean }) => {
      const inspection = await inspect(model);
      if (options.json) {
        const { tensors, ...rest } = inspection;
        console.out(JSON.stringify(options.tensors ? inspection : rest, null, 1));
        return;
      }
      console.out(describe(inspection));
      if (options.tensors)
        for (const t of inspection.tensors) console.out(`${t.name}  [${t.dims.join(", ")}]  ${t.type}`);
    });
}

/** Opens a checkpoint, reads its index and describes its model. */
export async function inspect(model: string): Promise<Inspection> {
  const path = await locateModel(model);
  return withRawCheckpoint(path, async (checkpoint) => {
    const tensors = [...checkpoint.tensors.values()];
    const storage: Record<string, number> = {};
    for (const t of tensors) storage[t.type] = (storage[t.type] ?? 0) + 1;
    const described = await describeCheckpoint(checkpoint).catch((error: unknown) => {
      if (isSpeechError(error)) return error;
      throw error;
    });
    const isSupported = !(described instanceof Error);
    const target = String(checkpoint.config.target ?? checkpoint.config._target_ ?? "unknown");
    return {
      name: checkpoint.name,
      className: target.split(".").at(-1) ?? target,
      nemoVersion: checkpoint.config.nemo_version === undefined ? undefined : String(checkpoint.config.nemo_version),
      sizeBytes: (await stat(path)).size,
      numTensors: tensors.length,
      numParameters: tensors
        .filter((t) => t.name.includes(".") && !t.name.startsWith("preprocessor."))
        .reduce(countElements, 0),
      storage,
      isSupported,
      reason: isSupported ? undefined : described.message,
      spec: isSupported ? described.spec : undefined,
      tensors: tensors.map(({ name, dims, type }) => ({ name, dims, type })),
    };
  });
}

const countElements = (sum: number, { dims }: TensorInfo): number => sum + dims.reduce((n, d) => n * d, 1);

function describe(i: Inspection): string {
  const rows: [string, string][] = [
    ["model", i.name],
    ["class", `${i.className}${i.nemoVersion ? `, saved by NeMo ${i.nemoVersion}` : ""}`],
    [
      "size",
      `${(i.sizeBytes / 1e6).toFixed(1)} MB, ${i.numTensors} tensors, ${(i.numParameters / 1e6).toFixed(2)} M parameters`,
    ],
    [
      "stored as",
      Object.entries(i.storage)
        .map(([type, n]) => `${n} × ${type}`)
        .join(", "),
    ],
    ["supported", i.isSupported ? "yes" : `no: ${i.reason}`],
    ...(i.spec ? specRows(i.spec) : []),
  ];
  const width = Math.max(...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${key.padEnd(width)}  ${value}`).join("\n");
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

function specRows(spec: ModelSpec): [string, string][] {
  const { features, encoder, heads, tokenizer } = spec;
  const rows: [string, string][] = [
    [
      "features",
      `${features.kind === "mfcc" ? `${features.numMfcc} MFCC of ` : ""}${features.numMels} mel, ${features.windowSamples}/${features.hopSamples} samples at ${features.sampleRateHz} Hz, normalize ${features.normalize.kind}`,
    ],
    ["encoder", encoderText(encoder)],
    ["step", `${(stepSec(spec) * 1000).toFixed(0)} ms`],
  ];
  const contexts = contextsOf(spec).map((c) => `[${c.join(",")}]`);
  if (contexts.length > 0)
    rows.push([
      "att contexts",
      `${contexts.join(" ")}${encoder.kind === "conformer" ? ` (${encoder.attention.style})` : ""}`,
    ]);
  const found = [
    heads.ctc && `CTC (${heads.ctc.numClasses} classes)`,
    heads.transducer && transducerText(heads.transducer),
    heads.classifier && `${heads.classifier.kind} classifier: ${heads.classifier.labels.slice(0, 12).join(", ")}`,
  ];
  rows.push(["heads", found.filter(Boolean).join(" + ")]);
  if (tokenizer)
    rows.push([
      "tokenizer",
      tokenizer.kind === "aggregate" ? `aggregate: ${tokenizer.parts.map((p) => p.lang).join(", ")}` : tokenizer.kind,
    ]);
  return rows;
}

function conformerText(e: ConformerSpec): string {
  const isFast = e.subsampling.kind === "dw_striding";
  const parts = [
    `${isFast ? "FastConformer" : "Conformer"} ${e.numLayers} × ${e.modelSize}, ${e.numHeads} heads`,
    `${e.subsampling.kind} ×${e.subsampling.factor}${e.subsampling.isCausal ? " causal" : ""}`,
    `kernel ${e.convKernel}`,
    e.convNorm.kind,
    e.attention.kind,
  ];
  return parts.join(", ");
}

function transducerText(t: NonNullable<ModelSpec["heads"]["transducer"]>): string {
  const network =
    t.prediction.kind === "lstm"
      ? `LSTM ${t.prediction.numLayers} × ${t.prediction.hiddenSize}`
      : `stateless, ${t.prediction.contextSize} labels`;
  return `${t.kind === "tdt" ? `TDT durations ${t.durations.join(",")}` : "RNNT"} (${t.vocabularySize} tokens, ${network})`;
}
