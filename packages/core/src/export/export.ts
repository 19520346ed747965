import { checkpointWeights, type Precision } from "../architectures/net.ts";
import type { ByteSource } from "../bytes.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../checkpoint/safetensors.ts";
import type { ModelSpec } from "../config/spec.ts";
import { readFeatureTensors } from "../features/checkpoint-tensors.ts";
import type { Graph } from "../onnx/graph.ts";
import {
  type ByteSink,
  bytesInCheckpoint,
  type PlacedWeights,
  placeWeights,
  writeModel,
  writeWeights,
} from "../onnx/write.ts";
import { float32, type Tensor } from "../tensor.ts";
import { formatTokenizer, renderTokens } from "../tokenizer/text-format.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { buildGraphs, type ModelGraphs } from "./graphs.ts";
import { type ForeignLayout, foreignGraphs } from "./layouts.ts";
import {
  FEATURES_NAME,
  formatManifest,
  MANIFEST_NAME,
  MANIFEST_SCHEMA,
  type Manifest,
  TOKENIZER_NAME,
  TOKENS_NAME,
} from "./manifest.ts";

/** A folder being written. */
export interface FolderSink {
  /** Opens a file for writing from its start. */
  create(name: string): Promise<ByteSink & { close(): Promise<void> }>;
  /**
   * Opens a file that begins with a copy of `source`, for writing behind it; undefined where the platform cannot copy
   * faster than by reading and writing.
   */
  createCopy?(name: string, source: ByteSource): Promise<(ByteSink & { close(): Promise<void> }) | undefined>;
}

/** Options of an export. */
export interface ExportOptions {
  readonly layout?: "nemo-stt" | ForeignLayout;
  readonly precision?: Precision;
  /** Foreign layouts: the attention context that is fixed in the graph. */
  readonly attContext?: readonly number[];
  /** The stem of the names of graphs; in our own layout the encoder's name. */
  readonly stem?: string;
  /** Called as weights are written. */
  readonly onProgress?: (progress: { writtenBytes: number; totalBytes: number }) => void;
}

/** One file of an export and the graph in it, if it holds one. */
export interface ExportedFile {
  readonly name: string;
  readonly graph?: Graph;
}

/** Weights beyond this go to a file of their own, which runtimes map instead of reading. */
const INLINE_LIMIT_BYTES = 64 * 2 ** 20;

/** Protobuf's limit, with room for the graph itself: what cannot be in one file must be outside. */
const PROTOBUF_LIMIT_BYTES = 2 ** 31 - 2 ** 26;

/** A model that is being exported: an open checkpoint, its description and its tokenizer. */
export interface ExportSource {
  readonly checkpoint: Checkpoint;
  readonly spec: ModelSpec;
  /** Absent for classifiers. */
  readonly tokenizer: Tokenizer | undefined;
}

/**
 * Writes a model as ONNX graphs and the files beside them. Tensors are read one at a time as they are written.
 * @returns the files in the order in which they were written
 */
export async function exportModel(
  source: ExportSource,
  folder: FolderSink,
  options: ExportOptions = {},
): Promise<ExportedFile[]> {
  const layout = options.layout ?? "nemo-stt";
  const files =
    layout === "nemo-stt"
      ? await exportOwn(source, folder, options)
      : await exportForeign(layout, source, folder, options);
  if (source.tokenizer) {
    await writeText(folder, TOKENS_NAME, renderTokens(source.tokenizer));
    files.push({ name: TOKENS_NAME });
  }
  return files;
}

async function exportOwn(source: ExportSource, folder: FolderSink, options: ExportOptions): Promise<ExportedFile[]> {
  const { checkpoint, spec } = source;
  const precision = options.precision ?? "float32";
  const graphs = buildGraphs(spec, checkpointWeights(checkpoint), precision);
  const names = graphNames(spec, graphs, options.stem);
  const entries = Object.entries(names).map(([role, name]) => ({
    name,
    graph: graphs[role as keyof ModelGraphs] as Graph,
  }));
  await writeGraphs(entries, source, folder, INLINE_LIMIT_BYTES, options);
  const files: ExportedFile[] = [...entries, ...(await writeCompanions(source, folder))];
  const manifest = {
    schema: MANIFEST_SCHEMA,
    source: { name: checkpoint.name, fingerprint: checkpoint.fingerprint },
    precision,
    graphs: names,
    spec,
  } as const;
  // The manifest comes last: a folder that has one is complete.
  await writeText(folder, MANIFEST_NAME, formatManifest(manifest));
  files.push({ name: MANIFEST_NAME });
  return files;
}

/** What stands beside the graphs in every layout; other runtimes pass over it. */
async function writeCompanions(source: ExportSource, folder: FolderSink): Promise<ExportedFile[]> {
  const files: ExportedFile[] = [];
  const features = await featureTensors(source);
  if (features.size > 0) {
    await writeBytes(folder, FEATURES_NAME, encodeSafetensors(features));
    files.push({ name: FEATURES_NAME });
  }
  if (source.tokenizer) {
    await writeText(folder, TOKENIZER_NAME, formatTokenizer(source.tokenizer));
    files.push({ name: TOKENIZER_NAME });
  }
  return files;
}

/** `conformer_ctc.onnx`, `conformer_transducer.onnx`, `convasr_classifier.onnx`, …: the encoder and what is fused to it. */
function graphNames(spec: ModelSpec, graphs: ModelGraphs, stem: string | undefined): Manifest["graphs"] {
  const { ctc, transducer } = spec.heads;
  const head = ctc && transducer ? "hybrid" : ctc ? "ctc" : transducer ? "transducer" : "classifier";
  return {
    encoder: `${stem ?? `${spec.encoder.kind}_${head}`}.onnx`,
    ...(graphs.prediction ? { prediction: "prediction.onnx" } : {}),
    ...(graphs.joint ? { joint: "joint.onnx" } : {}),
    ...(graphs.streaming ? { streaming: "streaming.onnx" } : {}),
  };
}

async function exportForeign(
  layout: ForeignLayout,
  source: ExportSource,
  folder: FolderSink,
  options: ExportOptions,
): Promise<ExportedFile[]> {
  const { checkpoint, spec } = source;
  const graphs = foreignGraphs(layout, spec, checkpointWeights(checkpoint), {
    precision: options.precision ?? "float32",
    attContext: options.attContext,
    stem: options.stem ?? "model",
  });
  const entries = [...graphs].map(([name, graph]) => ({ name, graph }));
  await writeGraphs(entries, source, folder, PROTOBUF_LIMIT_BYTES, options);
  return [...entries, ...(await writeCompanions(source, folder))];
}

/** Writes graphs, with the weights inside while they are few and otherwise in one file that all graphs share. */
async function writeGraphs(
  entries: readonly { name: string; graph: Graph }[],
  { checkpoint }: ExportSource,
  folder: FolderSink,
  inlineLimitBytes: number,
  options: ExportOptions,
): Promise<void> {
  const graphs = entries.map((entry) => entry.graph);
  const plain = placeWeights(graphs, WEIGHTS_NAME);
  const progress = countProgress(plain.sizeBytes, options.onProgress);
  const isInline = plain.sizeBytes <= inlineLimitBytes;
  const placed = isInline ? plain : await writeWeightsFile(graphs, plain, checkpoint, folder, progress);
  for (const { name, graph } of entries) {
    await withFile(folder, name, (sink) =>
      isInline ? writeModel(graph, progress(sink)) : writeModel(graph, sink, placed.placements),
    );
  }
}

/** Beside the graphs, where the weights do not go into them. */
const WEIGHTS_NAME = "weights.bin";

/** From this share of a checkpoint on, copying all of it is cheaper than picking its tensors out. */
const MIN_COPIED_SHARE = 0.9;

/**
 * Writes the weights of graphs that do not hold them. Tensors stay as a float32 checkpoint has them, so its copy is the
 * weights' file: what was computed from tensors is written behind it.
 */
async function writeWeightsFile(
  graphs: readonly Graph[],
  plain: PlacedWeights,
  { source, isUnpacked }: Checkpoint,
  folder: FolderSink,
  progress: (sink: ByteSink) => ByteSink,
): Promise<PlacedWeights> {
  const isWorthIt = !isUnpacked && bytesInCheckpoint(graphs) >= source.sizeBytes * MIN_COPIED_SHARE;
  const copy = isWorthIt ? await folder.createCopy?.(WEIGHTS_NAME, source) : undefined;
  const placed = copy ? placeWeights(graphs, WEIGHTS_NAME, source.sizeBytes) : plain;
  const file = copy ?? (await folder.create(WEIGHTS_NAME));
  try {
    await writeWeights(placed, progress(file));
  } finally {
    await file.close();
  }
  return placed;
}

function countProgress(totalBytes: number, onProgress: ExportOptions["onProgress"]) {
  let writtenBytes = 0;
  return (sink: ByteSink): ByteSink => ({
    async write(bytes) {
      await sink.write(bytes);
      writtenBytes = Math.min(totalBytes, writtenBytes + bytes.byteLength);
      onProgress?.({ writtenBytes, totalBytes });
    },
  });
}

/** The checkpoint's own window `[sample]` and filterbank `[mel, bin]`, where it has them. */
async function featureTensors({ checkpoint, spec }: ExportSource): Promise<Map<string, Tensor>> {
  const { window, filterbank } = await readFeatureTensors(checkpoint, spec.features);
  const found = new Map<string, Tensor>();
  if (window) found.set("window", float32(window, [window.length]));
  const { numMels } = spec.features;
  if (filterbank) found.set("filterbank", float32(filterbank, [numMels, filterbank.length / numMels]));
  return found;
}

async function withFile(folder: FolderSink, name: string, write: (sink: ByteSink) => Promise<void>): Promise<void> {
  const file = await folder.create(name);
  try {
    await write(file);
  } finally {
    await file.close();
  }
}

// Core has no DOM types; this is the part of the Web's TextEncoder that is used here.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };

const writeText = (folder: FolderSink, name: string, text: string): Promise<void> =>
  writeBytes(folder, name, new TextEncoder().encode(text));

const writeBytes = (folder: FolderSink, name: string, bytes: Uint8Array): Promise<void> =>
  withFile(folder, name, (sink) => sink.write(bytes));
