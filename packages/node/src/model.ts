import { readdir, readFile, rm, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Calibration,
  type Checkpoint,
  checkCalibration,
  describeCheckpoint,
  type ExportSource,
  exportModel,
  type ForeignModel,
  MANIFEST_NAME,
  type ModelFolder,
  type ModelPackage,
  openDirectory,
  openForeignRecognizer,
  openModelFolder,
  openNemo,
  openRecognizer,
  type Precision,
  parseCalibration,
  type Recognizer,
  type Runtime,
  SpeechError,
  searchWarning,
} from "@nemo-stt/core";
import { cacheFolder, publishFolder, removeSuperseded } from "./cache.ts";
import { openFileSource } from "./file-source.ts";
import { folderSink } from "./folder-sink.ts";
import { openFolderSources } from "./folder-source.ts";
import { findPulled } from "./hub.ts";
import { nodeRuntime } from "./runtime.ts";
import { fileSpill } from "./spill.ts";

/** Where a model is looked for and how it is run. */
export interface LoadModelOptions {
  /** ONNX Runtime on the calling thread unless told. */
  readonly runtime?: Runtime;
  /** Threads inside one operator; 1 unless told. */
  readonly numThreads?: number;
  /** Weights of a `.nemo` as 32-bit floats unless told. */
  readonly precision?: Precision;
  /** Called while a `.nemo` is exported for the first time. */
  readonly onExport?: (progress: { writtenBytes: number; totalBytes: number }) => void;
  /** Called where the model's texts can differ from NeMo's, and why. */
  readonly onWarning?: (text: string) => void;
}

/** The folder of the models that come with the package. */
const BUNDLED = fileURLToPath(new URL("../models/", import.meta.url));

/** The models that come with the package: a small English recogniser and a voice activity detector. */
export const BUNDLED_MODELS = {
  speech: join(BUNDLED, "nemo-stt-en-tiny.nemo"),
  vad: join(BUNDLED, "nemo-stt-vad-tiny.nemo"),
} as const;

/**
 * Loads a speech model: a `.nemo`, a folder that was exported (by us, NeMo, sherpa-onnx or onnx-asr's converters), a bare
 * `.onnx` with its tokens beside it, or the name of a model that was pulled. Without a name: the bundled English model.
 * @throws SpeechError
 */
export async function loadModel(
  model: string = BUNDLED_MODELS.speech,
  options: LoadModelOptions = {},
): Promise<Recognizer> {
  const opened = await openAnyModel(model, options);
  if (!("graphs" in opened)) return opened;
  return openRecognizer(opened, options.runtime ?? nodeRuntime(), options.numThreads);
}

/** A model of ours before any graph is loaded, or one in the layout of another tool, which is loaded at once. */
export async function openAnyModel(model: string, options: LoadModelOptions = {}): Promise<ModelPackage | Recognizer> {
  const path = await locateModel(model);
  const foreign = await foreignGraphFiles(path);
  if (foreign) return openForeignRecognizer(foreign, options.runtime ?? nodeRuntime(), options.numThreads);
  return openModel(path, options);
}

/** A checkpoint or a folder of ours, before any graph is loaded: also for classifiers. */
export async function openModel(model: string, options: LoadModelOptions = {}): Promise<ModelPackage> {
  const opened = await openPackage(model, options);
  const warning = searchWarning(opened.spec);
  if (warning) options.onWarning?.(`${model}: ${warning}`);
  return opened;
}

async function openPackage(model: string, options: LoadModelOptions): Promise<ModelPackage> {
  const path = await locateModel(model);
  const isGraph = extname(path) === ".onnx";
  const folder = isGraph ? dirname(path) : path;
  if (!(await exists(join(folder, MANIFEST_NAME)))) {
    return withCalibration(await openExported(path, options), path.replace(/\.nemo$/, CALIBRATION_ENDING));
  }
  const opened = await withCalibration(await openModelFolder(diskFolder(folder)), join(folder, CALIBRATION_NAME));
  if (isGraph) checkIsOfFolder(path, opened);
  return opened;
}

/** The calibration of an exported folder's confidences. */
const CALIBRATION_NAME = "calibration.json";
/** What takes the place of `.nemo` in the name of a checkpoint's. */
const CALIBRATION_ENDING = ".calibration.json";

/** A model with the calibration that lies beside it, where there is one. */
async function withCalibration(model: ModelPackage, path: string): Promise<ModelPackage> {
  if (!path.endsWith(".json") || !(await exists(path))) return model;
  const calibration = await readCalibration(path);
  checkCalibration(calibration, model.fingerprint, path);
  return { ...model, calibration };
}

/**
 * Reads a calibration that `eval --calibrate` wrote.
 * @throws SpeechError `NOT_FOUND`, `FORMAT_INVALID`
 */
export async function readCalibration(path: string): Promise<Calibration> {
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new SpeechError(
      "NOT_FOUND",
      `${path}: expected a calibration that can be read, got ${cause.message}. Check the path.`,
      { cause },
    );
  });
  return parseCalibration(text, path);
}

/** A graph that lies beside another model's description must not be taken for that model. */
function checkIsOfFolder(path: string, { graphs }: ModelPackage): void {
  const names = Object.values(graphs).map((graph) => basename("path" in graph ? graph.path : ""));
  if (names.includes(basename(path))) return;
  throw new SpeechError(
    "NOT_FOUND",
    `${path}: expected a graph that ${MANIFEST_NAME} beside it names (${names.join(", ")}), got another. Export each model to a folder of its own.`,
  );
}

/** The files of a model that another runtime's tools exported; undefined for checkpoints and for folders of ours. */
async function foreignGraphFiles(path: string): Promise<ForeignModel | undefined> {
  const isGraph = extname(path) === ".onnx";
  const folder = isGraph ? dirname(path) : path;
  if (!isGraph && !(await stat(path)).isDirectory()) return undefined;
  const isOther = await Promise.all([MANIFEST_NAME, "model_weights.ckpt"].map((name) => exists(join(folder, name))));
  if (isOther.includes(true)) return undefined;
  return { folder: diskFolder(folder), names: await namesIn(folder), graph: isGraph ? basename(path) : undefined };
}

/** Exports a `.nemo` into the cache, unless it is there by its content, and opens the exported folder. */
async function openExported(path: string, options: LoadModelOptions): Promise<ModelPackage> {
  const precision = options.precision ?? "float32";
  return withCheckpoint(path, async (source) => {
    const family = `${source.checkpoint.fingerprint.slice(0, 32)}-${precision}-`;
    const place = join(cacheFolder(), "exports", `${family}${EXPORT_VERSION}`);
    await removeIncomplete(place);
    const isNew = !(await exists(place));
    const folder = await publishFolder(place, async (temporary) => {
      await exportModel(source, await folderSink(temporary), { precision, onProgress: options.onExport });
    });
    if (isNew) await removeSuperseded(folder, (name) => isOlderExport(name, family));
    return { ...(await openModelFolder(diskFolder(folder))), name: source.checkpoint.name };
  });
}

/** Folders appear whole, but cleaners of caches take old files one by one: without its manifest one is made again. */
async function removeIncomplete(folder: string): Promise<void> {
  if ((await exists(folder)) && !(await exists(join(folder, MANIFEST_NAME)))) await rm(folder, { recursive: true });
}

/** True for an export of the same weights by an older version of this package; one by a newer version is not ours to judge. */
function isOlderExport(name: string, family: string): boolean {
  const version = name.startsWith(family) ? name.slice(family.length) : "";
  return /^\d+$/.test(version) && Number(version) < EXPORT_VERSION;
}

/** Counts up whenever the same checkpoint would be exported differently, so that old cache entries are not used. */
const EXPORT_VERSION = 13;

/**
 * Opens a checkpoint (a `.nemo`, or the folder of an extracted one) for as long as `use` runs.
 * @throws SpeechError `MODEL_UNSUPPORTED` when the model is none that can be run
 */
export async function withCheckpoint<T>(path: string, use: (source: ExportSource) => Promise<T>): Promise<T> {
  return withRawCheckpoint(path, async (checkpoint) => use(await describeCheckpoint(checkpoint)));
}

/** Opens a checkpoint without asking whether its model can be run. */
export async function withRawCheckpoint<T>(model: string, use: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const path = await locateModel(model);
  const spill = fileSpill();
  const closers: (() => Promise<void>)[] = [() => spill.close()];
  try {
    const isFolder = (await stat(path)).isDirectory();
    if (isExported(isFolder ? await namesIn(path) : [path])) {
      throw new SpeechError(
        "FORMAT_UNSUPPORTED",
        `${model}: expected a checkpoint, got a model that is exported already. Give the .nemo file that it was made from.`,
      );
    }
    if (isFolder) {
      const folder = await openFolderSources(path);
      closers.push(() => folder.close());
      return await use(await openDirectory(folder.files, path));
    }
    const file = await openFileSource(path);
    closers.push(() => file.close());
    return await use(await openNemo(file, { createSpill: spill.create }));
  } finally {
    await Promise.all(closers.map((close) => close()));
  }
}

const isExported = (names: readonly string[]): boolean =>
  names.some((name) => extname(name) === ".onnx") && !names.includes("model_weights.ckpt");

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((cause: Error) => {
    throw new SpeechError(
      "NOT_FOUND",
      `${folder}: expected a readable folder, got ${cause.message}. Check its permissions.`,
      { cause },
    );
  });
}

/**
 * The path of a model: a path that exists, or a hub name (`nvidia/NAME`) that was pulled.
 * @throws SpeechError `NOT_FOUND`
 */
export async function locateModel(model: string): Promise<string> {
  const path = resolve(model);
  if (await exists(path)) return path;
  const pulled = await findPulled(model);
  if (pulled) return pulled;
  const isName = /^[\w.-]+\/[\w.-]+$/.test(model);
  throw new SpeechError(
    "NOT_FOUND",
    `${model}: expected a .nemo file, an exported folder, an .onnx file or a pulled model, got nothing of that name. ${isName ? `Run \`nemo-stt pull ${model}\` first.` : "Check the path."}`,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A folder on the disk as the core reads it. */
export function diskFolder(folder: string): ModelFolder {
  return {
    name: folder,
    async read(name) {
      const path = join(folder, name);
      return (await exists(path)) ? readWhole(path) : undefined;
    },
    graph: (name) => ({ path: join(folder, name) }),
  };
}

/** A small file as a source that holds nothing open. */
async function readWhole(path: string) {
  const { size } = await stat(path);
  return {
    name: path,
    sizeBytes: size,
    async read(start: number, end: number) {
      const file = await openFileSource(path);
      try {
        return await file.read(start, end);
      } finally {
        await file.close();
      }
    },
  };
}
