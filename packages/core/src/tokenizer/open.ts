import { strictTextDecoder } from "../checkpoint/text.ts";
import type { TokenizerSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { createTokenizer } from "./create.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";
import type { PieceType, SentencePieceData, Tokenizer, TokenizerData, WordPieceData } from "./tokenizer.ts";
import { readWordPieceVocabulary } from "./wordpiece.ts";

/**
 * Opens the tokenizer that a model's description names.
 *
 * Where a SentencePiece model is not in the archive, the vocabulary of the configuration stands in for it.
 * @param artifact reads a member of the checkpoint's archive, such as `Checkpoint.artifact`
 * @throws SpeechError `FORMAT_INVALID`, `LIMIT_EXCEEDED`, or `MODEL_INVALID` where a file is missing or its size does
 *   not fit the model's heads
 */
export async function openTokenizer(
  spec: TokenizerSpec,
  artifact: (configValue: string) => Promise<Uint8Array | undefined>,
): Promise<Tokenizer> {
  const tokenizer = createTokenizer(await readData(spec, artifact));
  if (spec.size !== undefined && tokenizer.size !== spec.size) {
    throw new SpeechError(
      "MODEL_INVALID",
      `tokenizer: expected ${spec.size} tokens from the model's heads, got ${tokenizer.size}. The checkpoint contradicts itself.`,
    );
  }
  return tokenizer;
}

type ReadArtifact = (configValue: string) => Promise<Uint8Array | undefined>;

async function readData(spec: TokenizerSpec, artifact: ReadArtifact): Promise<TokenizerData> {
  switch (spec.kind) {
    case "characters":
      return { kind: "characters", pieces: spec.labels };
    case "sentencepiece": {
      const bytes = await artifact(spec.artifact);
      if (bytes !== undefined) return readSentencePieceModel(bytes, fileName(spec.artifact));
      if (spec.vocabulary.length === 0) throw missing(spec.artifact);
      return sentencePieceFromPieces(spec.vocabulary);
    }
    case "wordpiece": {
      const bytes = await artifact(spec.artifact);
      // Saved configurations list these vocabularies in no order, so nothing can stand in for the file.
      if (bytes === undefined) throw missing(spec.artifact);
      return readWordPiece(bytes, fileName(spec.artifact), spec.specialTokens);
    }
    case "aggregate": {
      const parts = [];
      for (const { lang, tokenizer } of spec.parts) parts.push({ lang, data: await readData(tokenizer, artifact) });
      return { kind: "aggregate", parts };
    }
  }
}

function readWordPiece(bytes: Uint8Array, name: string, special: readonly string[]): WordPieceData {
  try {
    const text = strictTextDecoder.decode(bytes);
    return { kind: "wordpiece", pieces: readWordPieceVocabulary(text, special), special };
  } catch (cause) {
    throw new SpeechError("FORMAT_INVALID", `${name}: expected UTF-8 text, got other bytes.`, { cause });
  }
}

/**
 * SentencePiece data from pieces alone: types are told from the spelling, and the first space is taken off, as in every
 * model that NeMo's recipes train.
 */
export function sentencePieceFromPieces(pieces: readonly string[]): SentencePieceData {
  // Bytes are only bytes where all of them are there; a lone `<0x0A>` would be somebody's own symbol.
  const hasBytes = pieces.filter((piece) => BYTE.test(piece)).length === 256;
  const types = pieces.map((piece): PieceType => {
    if (piece === "<unk>") return "unknown";
    if (piece === "<s>" || piece === "</s>" || piece === "<pad>") return "control";
    return hasBytes && BYTE.test(piece) ? "byte" : "normal";
  });
  return { kind: "sentencepiece", pieces, types, unkSurface: " \u2047 ", leadingSpace: "one" };
}

const BYTE = /^<0x[0-9A-F]{2}>$/;

/** What to call a file in messages: the configuration's value may be a whole path, of any length. */
function fileName(artifact: string): string {
  const name = artifact.slice(artifact.lastIndexOf("/") + 1).replace(/^nemo:/, "");
  return name.length > 100 ? `…${name.slice(-100)}` : name;
}

function missing(artifact: string): SpeechError {
  return new SpeechError(
    "MODEL_INVALID",
    `tokenizer: the file \`${fileName(artifact)}\` is not in the checkpoint. The archive is incomplete.`,
  );
}
