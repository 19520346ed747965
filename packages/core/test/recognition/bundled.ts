import { readFileSync } from "node:fs";
import type { Precision } from "../../src/architectures/net.ts";
import { openWav } from "../../src/audio/wav.ts";
import { type ByteSource, memorySource } from "../../src/bytes.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import type { ModelSpec } from "../../src/config/spec.ts";
import { exportModel, type FolderSink } from "../../src/export/export.ts";
import { type ModelFolder, openModelFolder } from "../../src/recognition/folder.ts";
import { describeCheckpoint } from "../../src/recognition/open-checkpoint.ts";
import type { ModelPackage } from "../../src/recognition/package.ts";
import type { Runtime } from "../../src/runtime.ts";

/** `GRAPH_RUNTIME=wasm` runs every test that loads a model in `onnxruntime-web` instead of `onnxruntime-node`. */
export async function testRuntime(): Promise<Runtime> {
  if (process.env.GRAPH_RUNTIME === "wasm") return (await import("@nemo-stt/web")).webRuntime();
  return (await import("@nemo-stt/node")).nodeRuntime();
}

const SPEECH = "nemo-stt-en-tiny.nemo";
const VAD = "nemo-stt-vad-tiny.nemo";
const modelFile = (name: string) =>
  memorySource(readFileSync(new URL(`../../../node/models/${name}`, import.meta.url)), name);

/** The files of an export that never saw a disk. */
export type MemoryFiles = Map<string, Uint8Array>;

/** Writes into memory. */
export function memorySink(files: MemoryFiles): FolderSink {
  return {
    async create(name) {
      const parts: Uint8Array[] = [];
      return {
        write: async (bytes) => void parts.push(bytes.slice()),
        close: async () => void files.set(name, Buffer.concat(parts)),
      };
    },
  };
}

/** Files in memory as a folder. */
export function memoryFolder(files: MemoryFiles, name = "memory"): ModelFolder {
  return {
    name,
    read: async (file) => {
      const bytes = files.get(file);
      return bytes && memorySource(bytes, file);
    },
    graph: (file) => ({ bytes: files.get(file) ?? new Uint8Array(0) }),
  };
}

/** Exports a bundled model into memory, under a description that a test may change. */
export async function exportBundled(
  which: "speech" | "vad",
  precision: Precision = "float32",
  change: (spec: ModelSpec) => ModelSpec = (spec) => spec,
): Promise<MemoryFiles> {
  return exportNemo(modelFile(which === "speech" ? SPEECH : VAD), precision, change);
}

async function exportNemo(
  file: ByteSource,
  precision: Precision,
  change: (spec: ModelSpec) => ModelSpec = (spec) => spec,
): Promise<MemoryFiles> {
  const source = await describeCheckpoint(await openNemo(file));
  const files: MemoryFiles = new Map();
  await exportModel({ ...source, spec: change(source.spec) }, memorySink(files), { precision });
  return files;
}

/** Any checkpoint, exported into memory and opened again. */
export async function openExported(url: URL, precision: Precision = "float32"): Promise<ModelPackage> {
  const files = await exportNemo(memorySource(readFileSync(url), url.pathname), precision);
  return openModelFolder(memoryFolder(files, url.pathname));
}

/** A bundled model, exported into memory and opened again. */
export async function bundled(which: "speech" | "vad", precision?: Precision): Promise<ModelPackage> {
  return openModelFolder(memoryFolder(await exportBundled(which, precision), which));
}

/** A recording of `examples/audio` at 16 kHz, mono. */
export async function recording(name: "morning-rms" | "garden-slt"): Promise<Float32Array> {
  const url = new URL(`../../../../examples/audio/${name}.wav`, import.meta.url);
  const wav = await openWav(memorySource(readFileSync(url), name));
  return (await wav.read(0, wav.numSamples))[0];
}
