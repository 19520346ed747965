import { SpeechError } from "../errors.ts";

/** The graphs of another exporter's folder, by what they compute. */
export interface ForeignFiles {
  /** Encoder and CTC head in one. */
  readonly ctc?: string;
  readonly transducer?: TransducerFiles;
}

/** NeMo's `export` fuses prediction network and joint; sherpa-onnx keeps them apart. */
export type TransducerFiles =
  | { readonly kind: "fused"; readonly encoder: string; readonly decoderJoint: string }
  | { readonly kind: "separate"; readonly encoder: string; readonly decoder: string; readonly joiner: string };

type Role = "decoderJoint" | "joiner" | "encoder" | "decoder" | "ctc" | "other";

interface GraphFile {
  readonly name: string;
  readonly role: Role;
  /** The name without what tells role and number format: files of one model share it. */
  readonly model: string;
  /** `int8` and the like; empty for the model's own floats. */
  readonly format: string;
}

/** By which part of a name a file's role is known; the first that fits. */
const ROLES: readonly (readonly [Role, RegExp])[] = [
  // What we write beside the graphs of a whole recording for sherpa-onnx to stream from.
  ["other", /^streaming-(?:encoder|model)$/],
  ["decoderJoint", /decoder[-_.]?joint/],
  ["joiner", /joiner|joint/],
  ["encoder", /encoder/],
  ["decoder", /decoder/],
  // onnx-asr's features as graphs, and the voice detectors that stand beside some models.
  ["other", /^nemo\d+$|preprocessor|vad/],
];

const FORMAT = /[-_.](u?int8|int4|q[48]|fp16|float16|bf16|quant(?:ized)?)(?=$|[-_.])/;

/**
 * Finds the graphs of a model by the names that NeMo's `export` (`X.onnx`, `encoder-X.onnx` and `decoder_joint-X.onnx`),
 * sherpa-onnx (`model.onnx`; `encoder.onnx`, `decoder.onnx` and `joiner.onnx`) and onnx-asr (as NeMo's) give them. Where
 * a model is there in several number formats, its own floats are taken.
 * @param graph the file that the user named: that one, and what belongs to it
 * @throws SpeechError `NOT_FOUND` naming what is missing, `MODEL_UNSUPPORTED` where the names leave a choice
 */
export function findForeignFiles(folder: string, names: readonly string[], graph?: string): ForeignFiles {
  const files = names.filter((name) => name.toLowerCase().endsWith(".onnx")).map(describe);
  const named = graph === undefined ? undefined : describe(graph);
  if (named && (named.role === "ctc" || named.role === "other")) return { ctc: named.name };
  const ctc = named ? undefined : oneModel(folder, files, "ctc");
  const encoder = named?.role === "encoder" ? named : oneModel(folder, files, "encoder", named);
  const parts = files.filter((file) => file.role !== "ctc" && file.role !== "other");
  if (!encoder && (named || parts.length > 0)) {
    throw missing(folder, `a graph \`encoder….onnx\` beside \`${(named ?? parts[0]).name}\``, names);
  }
  if (!encoder && !ctc) throw missing(folder, "a graph `model.onnx` or `encoder….onnx`", names);
  return {
    ...(ctc ? { ctc: ctc.name } : {}),
    ...(encoder ? { transducer: transducerFiles(folder, files, encoder, names) } : {}),
  };
}

/**
 * Finds the file of a model's tokens: one that carries a graph's name, our exact one, sherpa-onnx's, onnx-asr's.
 * @throws SpeechError `NOT_FOUND`
 */
export function findTokensFile(folder: string, names: readonly string[], graphs: readonly string[]): string {
  const stems = graphs.map((graph) => graph.slice(0, -".onnx".length));
  const own = stems.flatMap((stem) => [`${stem}.tokens.txt`, `${stem}.tokens`]);
  const found = [...own, "tokenizer.txt", "tokens.txt", "vocab.txt"].find((name) => names.includes(name));
  if (found) return found;
  throw new SpeechError(
    "NOT_FOUND",
    `${folder}: expected \`tokens.txt\`, \`vocab.txt\` or \`${stems[0]}.tokens.txt\` beside \`${graphs[0]}\`, got none of them. Put the model's list of tokens there: a token and its number on each line.`,
  );
}

function describe(name: string): GraphFile {
  const stem = name.toLowerCase().slice(0, -".onnx".length);
  const [role, pattern] = ROLES.find(([, mark]) => mark.test(stem)) ?? ["ctc", /(?!)/];
  const format = FORMAT.exec(stem)?.[1] ?? "";
  return { name, role, format, model: stem.replace(pattern, "").replace(FORMAT, "") };
}

/** The one model that has a graph of this role, in the number format of `like` or else its plainest. */
function oneModel(folder: string, files: readonly GraphFile[], role: Role, like?: GraphFile): GraphFile | undefined {
  const candidates = files.filter((file) => file.role === role && (!like || file.model === like.model));
  const models = new Set(candidates.map((file) => file.model));
  if (models.size > 1) {
    const list = candidates.map((file) => `\`${file.name}\``).join(", ");
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${folder}: expected the graphs of one model, got ${list}. Name the graph that is meant.`,
    );
  }
  return plainest(candidates, like);
}

function plainest(candidates: readonly GraphFile[], like?: GraphFile): GraphFile | undefined {
  const sorted = candidates.toSorted((a, b) => a.format.length - b.format.length || (a.name < b.name ? -1 : 1));
  return sorted.find((file) => file.format === like?.format) ?? sorted[0];
}

/** The graphs that belong to an encoder: of the same model, or the only ones there are. */
function transducerFiles(
  folder: string,
  files: readonly GraphFile[],
  encoder: GraphFile,
  names: readonly string[],
): TransducerFiles {
  const find = (role: Role): string | undefined => {
    const candidates = files.filter((file) => file.role === role);
    const own = candidates.filter((file) => file.model === encoder.model);
    return plainest(own.length > 0 ? own : candidates, encoder)?.name;
  };
  const [decoderJoint, decoder, joiner] = [find("decoderJoint"), find("decoder"), find("joiner")];
  if (decoderJoint) return { kind: "fused", encoder: encoder.name, decoderJoint };
  if (decoder && joiner) return { kind: "separate", encoder: encoder.name, decoder, joiner };
  const expected = decoder
    ? `a graph \`joiner….onnx\` beside \`${decoder}\``
    : joiner
      ? `a graph \`decoder….onnx\` beside \`${joiner}\``
      : `a graph \`decoder_joint….onnx\`, or \`decoder….onnx\` and \`joiner….onnx\`, beside \`${encoder.name}\``;
  throw missing(folder, expected, names);
}

/** Names in a message are enough to see what the folder is. */
const MAX_NAMES = 12;

function missing(folder: string, expected: string, names: readonly string[]): SpeechError {
  const shown = names.slice(0, MAX_NAMES).join(", ") + (names.length > MAX_NAMES ? ", …" : "");
  return new SpeechError(
    "NOT_FOUND",
    `${folder}: expected ${expected}, got ${shown || "an empty folder"}. Export the model again, or name the folder that holds it.`,
  );
}
