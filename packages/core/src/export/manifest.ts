import type { ModelSpec } from "../config/spec.ts";
import { checkStoredConfidence } from "../decoding/confidence.ts";
import { SpeechError } from "../errors.ts";

/** Version of the exported folder's form; a reader refuses what it does not know. */
export const MANIFEST_SCHEMA = "nemo-stt/model/1";

/** Everything about the model that is no weight and no vocabulary. */
export const MANIFEST_NAME = "manifest.json";
/** `piece id` a line, as sherpa-onnx and others read it. */
export const TOKENS_NAME = "tokens.txt";
/** The tokenizer without loss. */
export const TOKENIZER_NAME = "tokenizer.txt";
/** The checkpoint's own analysis window and mel filterbank. */
export const FEATURES_NAME = "features.safetensors";

/** `manifest.json`: everything about an exported model that is not a weight or a vocabulary. */
export interface Manifest {
  readonly schema: typeof MANIFEST_SCHEMA;
  /** The checkpoint it came from, by name and by content. */
  readonly source: { readonly name: string; readonly fingerprint: string };
  readonly precision: string;
  readonly graphs: {
    readonly encoder: string;
    readonly prediction?: string;
    readonly joint?: string;
    readonly streaming?: string;
  };
  readonly spec: ModelSpec;
}

/** The manifest as text; the same manifest always gives the same text. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 1)}\n`;
}

/**
 * Reads a manifest.
 * @throws SpeechError `FORMAT_INVALID` for anything but JSON and for a confidence method that NeMo does not know,
 * `FORMAT_UNSUPPORTED` for another schema.
 */
export function parseManifest(text: string, where: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SpeechError("FORMAT_INVALID", `${where}: expected JSON, got text that is none. Export the model again.`, {
      cause,
    });
  }
  const manifest = value as Manifest;
  if (manifest?.schema !== MANIFEST_SCHEMA) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${where}: expected schema ${MANIFEST_SCHEMA}, got ${JSON.stringify(manifest?.schema)}. Export the model again with this version.`,
    );
  }
  for (const name of Object.values(manifest.graphs ?? {})) {
    if (typeof name !== "string" || name.includes("/") || name.includes("\\")) {
      throw new SpeechError(
        "FORMAT_INVALID",
        `${where}: expected graphs to be names of files in the same folder, got ${JSON.stringify(name)}. Export the model again.`,
      );
    }
  }
  if (!manifest.spec?.encoder || !manifest.spec.features || !manifest.graphs?.encoder) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected graphs and a spec, got neither or one. Export the model again.`,
    );
  }
  const { confidence = {} } = manifest.spec.decoding ?? {};
  checkStoredConfidence(`${where}: spec.decoding.confidence`, confidence, "Export the model again.");
  return manifest;
}
