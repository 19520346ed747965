import type { ModelSpec } from "../config/spec.ts";
import { checkStoredConfidence } from "../decoding/confidence.ts";
import { SpeechError } from "../errors.ts";
import { MANIFEST_SCHEMA } from "./manifest.ts";

/** The metadata entry of foreign layouts in which a graph of ours carries what no other tool writes down. */
export const STORED_SPEC_KEY = "nemo_stt_spec";

/** What the graphs of a foreign layout do not show of a model. */
export interface StoredSpec extends Pick<ModelSpec, "className" | "sampleRateHz" | "features" | "decoding"> {
  readonly schema: typeof MANIFEST_SCHEMA;
  readonly nemoVersion?: string;
  /** Transducers only; without `maxSymbols` there is no limit. */
  readonly transducer?: { readonly durations: readonly number[]; readonly maxSymbols?: number };
}

/** The metadata entry of a model. */
export function storedSpecMetadata(spec: ModelSpec): Record<string, string> {
  const { className, nemoVersion, sampleRateHz, features, decoding, heads } = spec;
  const stored: StoredSpec = {
    schema: MANIFEST_SCHEMA,
    className,
    nemoVersion,
    sampleRateHz,
    features,
    decoding,
    ...(heads.transducer
      ? { transducer: { durations: heads.transducer.durations, maxSymbols: heads.transducer.maxSymbols } }
      : {}),
  };
  return { [STORED_SPEC_KEY]: JSON.stringify(stored) };
}

/**
 * Reads the metadata entry; undefined where the graph has none.
 * @throws SpeechError `FORMAT_INVALID`, or `FORMAT_UNSUPPORTED` for another schema
 */
export function parseStoredSpec(metadata: Readonly<Record<string, string>>, where: string): StoredSpec | undefined {
  const text = metadata[STORED_SPEC_KEY];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const message = `${where}: expected JSON in \`${STORED_SPEC_KEY}\`, got text that is none. Export the model again.`;
    throw new SpeechError("FORMAT_INVALID", message, { cause });
  }
  const stored = value as StoredSpec;
  if (stored?.schema !== MANIFEST_SCHEMA) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${where}: expected schema ${MANIFEST_SCHEMA} in \`${STORED_SPEC_KEY}\`, got ${JSON.stringify(stored?.schema)}. Export the model again with this version.`,
    );
  }
  if (!stored.features || !stored.decoding?.confidence || !isTransducer(stored.transducer)) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected features, decoding and durations in \`${STORED_SPEC_KEY}\`, got none or other values. Export the model again.`,
    );
  }
  const path = `${where}: ${STORED_SPEC_KEY}.decoding.confidence`;
  checkStoredConfidence(path, stored.decoding.confidence, "Export the model again.");
  return stored;
}

function isTransducer(value: StoredSpec["transducer"]): boolean {
  if (value === undefined) return true;
  const { durations, maxSymbols } = value ?? {};
  const isLimit = maxSymbols === undefined || (Number.isInteger(maxSymbols) && maxSymbols > 0);
  return isLimit && Array.isArray(durations) && durations.every((d) => Number.isInteger(d) && d >= 0);
}
