import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ByteSink,
  describeCheckpoint,
  exportModel,
  type ForeignLayout,
  type Graph,
  type ModelPackage,
  type ModelSpec,
  memorySource,
  modelBytes,
  openForeignRecognizer,
  openModelFolder,
  openNemo,
  type Recognizer,
} from "@nemo-stt/core";
import { nodeRuntime } from "../../src/runtime.ts";

/** The files of an exported folder, by name. */
export type Files = ReadonlyMap<string, Uint8Array>;

/** The root of the repository. */
export const root = new URL("../../../../", import.meta.url);

/** Reference material that is not part of the repository. */
export const shared = new URL("../shared/", root);

/** The bundled English model, a streaming hybrid with RNNT. */
export const bundled = new URL("packages/node/models/nemo-stt-en-tiny.nemo", root);

/** Two spoken recordings of the repository, 16 kHz. */
export const recordings = ["morning-rms.wav", "garden-slt.wav"].map((name) => new URL(`examples/audio/${name}`, root));

/** The program that runs sherpa-onnx. */
export const sherpaPeer = fileURLToPath(new URL("bench/sherpa-peer.mjs", root));

/** The samples of a recording of 16-bit PCM. */
export function readPcm16(url: URL): Float32Array {
  const bytes = readFileSync(url);
  const start = bytes.indexOf("data", 12, "latin1") + 8;
  const numSamples = bytes.readUInt32LE(start - 4) / 2;
  return Float32Array.from({ length: numSamples }, (_, i) => bytes.readInt16LE(start + 2 * i) / 32_768);
}

/** Exports a checkpoint into memory. */
export async function exported(
  nemo: URL,
  layout: "nemo-stt" | ForeignLayout,
  attContext?: readonly number[],
): Promise<Map<string, Uint8Array>> {
  const checkpoint = await openNemo(memorySource(readFileSync(nemo), fileURLToPath(nemo)));
  const parts = new Map<string, Uint8Array[]>();
  const create = async (name: string): Promise<ByteSink & { close(): Promise<void> }> => {
    const chunks: Uint8Array[] = [];
    parts.set(name, chunks);
    return { write: async (bytes) => void chunks.push(bytes.slice()), close: async () => {} };
  };
  await exportModel(await describeCheckpoint(checkpoint), { create }, { layout, attContext });
  return new Map([...parts].map(([name, chunks]) => [name, Buffer.concat(chunks)]));
}

/** The graphs of a layout as files; without metadata they are what other tools write. */
export async function graphFiles(
  graphs: ReadonlyMap<string, Graph>,
  hasMetadata = true,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const [name, graph] of graphs)
    files.set(name, await modelBytes(hasMetadata ? graph : { ...graph, metadata: {} }));
  return files;
}

/** A text as a file. */
export const textFile = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A list of tokens as sherpa-onnx and onnx-asr have it. */
export const tokensFile = (pieces: readonly string[]): Uint8Array =>
  textFile([...pieces, "<blk>"].map((piece, id) => `${piece} ${id}\n`).join(""));

/** Files in memory as the core reads a folder. */
export function folderOf(files: Files, name = "folder") {
  return {
    name,
    read: async (file: string) => {
      const bytes = files.get(file);
      return bytes && memorySource(bytes, file);
    },
    graph: (file: string) => ({ bytes: files.get(file) as Uint8Array }),
  };
}

/** Opens files as a model of another exporter; `graph` is the one the user named. */
export function openForeign(files: Files, graph?: string): Promise<Recognizer> {
  return openForeignRecognizer({ folder: folderOf(files), names: [...files.keys()], graph }, nodeRuntime());
}

/** Opens files in our own layout. */
export function openOwn(files: Files): Promise<ModelPackage> {
  return openModelFolder(folderOf(files));
}

/** Writes files to a new temporary folder and returns its path. */
export async function writeFolder(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nemo-stt-foreign-"));
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  return folder;
}

/** What must not differ between two ways to run one model. */
export function tokensOf(transcripts: Awaited<ReturnType<Recognizer["transcribe"]>>) {
  return transcripts.map(({ text, tokens }) => ({ text, tokens: tokens.map((t) => [t.id, t.startSec, t.endSec]) }));
}

/** The heads of a model, in the order of a check. */
export function headsOf({ heads }: ModelSpec): ("ctc" | "transducer")[] {
  return [...(heads.ctc ? (["ctc"] as const) : []), ...(heads.transducer ? (["transducer"] as const) : [])];
}
