import type { ByteSource } from "../bytes.ts";
import { openSafetensors } from "../checkpoint/safetensors.ts";
import { SpeechError } from "../errors.ts";
import { FEATURES_NAME, MANIFEST_NAME, parseManifest, TOKENIZER_NAME } from "../export/manifest.ts";
import type { GraphLocation } from "../runtime.ts";
import { parseTokenizer } from "../tokenizer/text-format.ts";
import type { ModelPackage } from "./package.ts";

/** An exported folder as its platform has it: files on a disk, or parts in memory. */
export interface ModelFolder {
  readonly name: string;
  /** A small file; undefined where there is none of that name. */
  read(name: string): Promise<ByteSource | undefined>;
  /** Where the runtime finds a graph. */
  graph(name: string): GraphLocation;
}

declare const TextDecoder: new () => { decode(bytes: Uint8Array): string };

/** No file but graphs is this large. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/**
 * Reads a folder that `exportModel` wrote in our own layout.
 * @throws SpeechError `NOT_FOUND` where a file is missing, and what the readers throw
 */
export async function openModelFolder(folder: ModelFolder): Promise<ModelPackage> {
  const manifest = parseManifest(await readText(folder, MANIFEST_NAME), `${folder.name} › ${MANIFEST_NAME}`);
  const { spec, graphs } = manifest;
  const tokenizer =
    spec.tokenizer && parseTokenizer(await readText(folder, TOKENIZER_NAME), `${folder.name} › ${TOKENIZER_NAME}`);
  return {
    name: folder.name,
    fingerprint: `${manifest.source.fingerprint}-${manifest.precision}`,
    spec,
    tokenizer,
    featureTensors: await readFeatures(folder),
    graphs: {
      encoder: folder.graph(graphs.encoder),
      ...(graphs.prediction ? { prediction: folder.graph(graphs.prediction) } : {}),
      ...(graphs.joint ? { joint: folder.graph(graphs.joint) } : {}),
      ...(graphs.streaming ? { streaming: folder.graph(graphs.streaming) } : {}),
    },
  };
}

/** The window and filterbank that stand in a folder's `features.safetensors`, where it has one. */
export async function readFeatures(folder: ModelFolder): Promise<ModelPackage["featureTensors"]> {
  const source = await folder.read(FEATURES_NAME);
  if (!source) return {};
  const file = await openSafetensors(source);
  const read = async (name: string) => (file.tensors.has(name) ? await file.readFloat32(name) : undefined);
  return { window: await read("window"), filterbank: await read("filterbank") };
}

/** A text file of a folder. */
export async function readText(folder: ModelFolder, name: string): Promise<string> {
  const source = await folder.read(name);
  if (!source) {
    throw new SpeechError(
      "NOT_FOUND",
      `${folder.name}: expected a file \`${name}\`, got none. Name a folder that \`export\` wrote, or export the model again.`,
    );
  }
  if (source.sizeBytes > MAX_FILE_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${folder.name} › ${name}: expected at most ${MAX_FILE_BYTES} bytes, got ${source.sizeBytes}. It is not a file of an exported model.`,
    );
  }
  return new TextDecoder().decode(await source.read(0, source.sizeBytes));
}
