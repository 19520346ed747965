import { parseModelConfig } from "../checkpoint/yaml.ts";
import { type ConfigBlock, childBlock, hasKey, rootBlock } from "../config/block.ts";
import { SpeechError } from "../errors.ts";
import { parseStoredSpec, type StoredSpec } from "../export/stored-spec.ts";
import { type ModelFolder, readText } from "./folder.ts";
import type { NamedSession } from "./foreign-ports.ts";

/** What is written down about a model that another tool exported, wherever it stands. */
export interface ForeignFacts {
  /** Where it stands, for messages. */
  readonly where: string;
  /** `metadata_props` of the graph with the encoder, where sherpa-onnx's exporters write. */
  readonly metadata: Readonly<Record<string, string>>;
  /** onnx-asr's `config.json`. */
  readonly config: OnnxAsrConfig;
  /** NeMo's `model_config.yaml`, if somebody laid it beside the graphs. */
  readonly nemo: ConfigBlock | undefined;
  /** Our own note in the metadata, in exports of ours. */
  readonly stored: StoredSpec | undefined;
}

/** The members of onnx-asr's `config.json` that matter. */
export interface OnnxAsrConfig {
  readonly modelType?: string;
  readonly featuresSize?: number;
  readonly maxTokensPerStep?: number;
}

/** Models of other families that come in the same files, by onnx-asr's names for NeMo's. */
const NEMO_TYPES: ReadonlySet<string> = new Set([
  "nemo-conformer",
  "nemo-conformer-ctc",
  "nemo-conformer-rnnt",
  "nemo-conformer-tdt",
]);

/** Features of a frame and tokens of a step: both are a hundred times fewer in every model. */
const MAX_COUNT = 10_000;

const CONFIG_NAME = "config.json";
const NEMO_CONFIG_NAME = "model_config.yaml";

/**
 * Reads onnx-asr's `config.json`; a folder without one, or with another tool's, tells nothing.
 * @throws SpeechError `MODEL_UNSUPPORTED` where it names a model of another family, `FORMAT_INVALID`
 */
export async function readOnnxAsrConfig(folder: ModelFolder, names: readonly string[]): Promise<OnnxAsrConfig> {
  if (!names.includes(CONFIG_NAME)) return {};
  const where = `${folder.name} › ${CONFIG_NAME}`;
  let value: unknown;
  try {
    value = JSON.parse(await readText(folder, CONFIG_NAME));
  } catch (cause) {
    throw new SpeechError("FORMAT_INVALID", `${where}: expected JSON, got other text. Mend the file or remove it.`, {
      cause,
    });
  }
  const { model_type, features_size, max_tokens_per_step } = (value ?? {}) as Record<string, unknown>;
  if (typeof model_type === "string" && !NEMO_TYPES.has(model_type)) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${where}: expected \`model_type\` to be one of ${[...NEMO_TYPES].join(", ")}, got ${JSON.stringify(model_type)}. Only NeMo's CTC and transducer models run here.`,
    );
  }
  const count = (name: string, found: unknown): number | undefined => {
    if (
      found === undefined ||
      (typeof found === "number" && Number.isInteger(found) && found > 0 && found <= MAX_COUNT)
    ) {
      return found;
    }
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected \`${name}\` to be a whole number from 1 to ${MAX_COUNT}, got ${JSON.stringify(found)}. Mend the file or remove it.`,
    );
  };
  return {
    modelType: typeof model_type === "string" ? model_type : undefined,
    featuresSize: count("features_size", features_size),
    maxTokensPerStep: count("max_tokens_per_step", max_tokens_per_step),
  };
}

/** Gathers what stands in the graph's metadata and beside it. */
export async function gatherFacts(
  folder: ModelFolder,
  names: readonly string[],
  { where, session: { metadata } }: NamedSession,
  config: OnnxAsrConfig,
): Promise<ForeignFacts> {
  refuseOtherFamilies(metadata, where);
  return {
    where,
    metadata,
    config,
    nemo: names.includes(NEMO_CONFIG_NAME) ? await readNemoConfig(folder) : undefined,
    stored: parseStoredSpec(metadata, where),
  };
}

async function readNemoConfig(folder: ModelFolder): Promise<ConfigBlock> {
  const source = await folder.read(NEMO_CONFIG_NAME);
  const bytes = source ? await source.read(0, source.sizeBytes) : new Uint8Array();
  const root = rootBlock(parseModelConfig(bytes, `${folder.name} › ${NEMO_CONFIG_NAME}`));
  // A whole experiment's configuration has the model's under `model`.
  const inner = hasKey(root, "preprocessor") ? undefined : childBlock(root, "model");
  return inner ? { ...inner, path: "" } : root;
}

/** A number as metadata have it; undefined where there is none above zero. */
export function positiveInteger(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? "", 10);
  return value > 0 ? value : undefined;
}

/** Models that sherpa-onnx runs from the same files and that are none of NeMo's CTC and transducer models. */
function refuseOtherFamilies(metadata: Readonly<Record<string, string>>, where: string): void {
  const isGigaAm = Number.parseInt(metadata.is_giga_am ?? "0", 10) > 0;
  const type = metadata.model_type;
  const other = isGigaAm ? "GigaAM" : type === undefined || /^EncDec(?!MultiTask)/.test(type) ? undefined : type;
  if (other === undefined) return;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${where}: expected one of NeMo's CTC or transducer models, got ${other} by its metadata. Run it with sherpa-onnx.`,
  );
}
