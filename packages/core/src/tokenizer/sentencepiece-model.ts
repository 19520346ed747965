import { SpeechError } from "../errors.ts";
import {
  fieldBool,
  fieldInt,
  fieldMessage,
  fieldString,
  type ProtoMessage,
  protoFields,
  protoMessage,
} from "../protobuf/reader.ts";
import type { PieceType, SentencePieceData } from "./tokenizer.ts";

/** The largest published vocabulary of a NeMo recogniser has 16,384 pieces; language models reach 262,144. */
const MAX_PIECES = 2 ** 20;

/** By number in `sentencepiece_model.proto`; a number that it does not know counts as normal. */
const PIECE_TYPES: readonly PieceType[] = ["normal", "normal", "unknown", "control", "user", "unused", "byte"];

/** What SentencePiece writes for an unknown piece unless the model says otherwise. */
const UNK_SURFACE = " \u2047 ";

/**
 * Reads a SentencePiece model (`sentencepiece_model.proto`): pieces, types and the flags that decoding needs. Scores and
 * normalisation tables are for encoding and stay unread.
 *
 * @throws SpeechError `FORMAT_INVALID`, `LIMIT_EXCEEDED`, or `FORMAT_UNSUPPORTED` for a model that rewrites its output
 */
export function readSentencePieceModel(bytes: Uint8Array, name: string): SentencePieceData {
  const pieces: string[] = [];
  const types: PieceType[] = [];
  let unkSurface = UNK_SURFACE;
  // Proto defaults: both are on where a model does not mention them.
  const normalizer = { addDummyPrefix: true, removeExtraWhitespaces: true };
  for (const field of protoFields(protoMessage(bytes, name))) {
    if (field.number === 1) {
      if (pieces.length === MAX_PIECES) throw tooManyPieces(name);
      const { piece, type } = readPiece(fieldMessage(field));
      pieces.push(piece);
      types.push(type);
    } else if (field.number === 2) {
      unkSurface = readUnkSurface(fieldMessage(field)) ?? unkSurface;
    } else if (field.number === 3) {
      readNormalizer(fieldMessage(field), normalizer);
    } else if (field.number === 5) {
      refuseDenormalizer(fieldMessage(field));
    }
  }
  if (pieces.length === 0) {
    throw new SpeechError("FORMAT_INVALID", `${name}: expected a SentencePiece model, got one without pieces.`);
  }
  const { addDummyPrefix, removeExtraWhitespaces } = normalizer;
  const leadingSpace = removeExtraWhitespaces ? "all" : addDummyPrefix ? "one" : "none";
  return { kind: "sentencepiece", pieces, types, unkSurface, leadingSpace };
}

function readPiece(message: ProtoMessage): { piece: string; type: PieceType } {
  let piece = "";
  let type: PieceType = "normal";
  for (const field of protoFields(message)) {
    if (field.number === 1) piece = fieldString(field);
    else if (field.number === 3) type = PIECE_TYPES[fieldInt(field)] ?? "normal";
  }
  if (piece === "") {
    throw new SpeechError("FORMAT_INVALID", `${message.name}: expected a piece with a text, got an empty one.`);
  }
  return { piece, type };
}

/** `unk_surface` of the trainer's settings. */
function readUnkSurface(message: ProtoMessage): string | undefined {
  let surface: string | undefined;
  for (const field of protoFields(message)) if (field.number === 44) surface = fieldString(field);
  return surface;
}

function readNormalizer(
  message: ProtoMessage,
  normalizer: { addDummyPrefix: boolean; removeExtraWhitespaces: boolean },
): void {
  for (const field of protoFields(message)) {
    if (field.number === 3) normalizer.addDummyPrefix = fieldBool(field);
    else if (field.number === 4) normalizer.removeExtraWhitespaces = fieldBool(field);
  }
}

/** A table that rewrites decoded text; no published recogniser has one. */
function refuseDenormalizer(message: ProtoMessage): void {
  for (const field of protoFields(message)) {
    if (field.number === 2 && field.end > field.start) {
      throw new SpeechError(
        "FORMAT_UNSUPPORTED",
        `${message.name}: expected a SentencePiece model without denormalizer, got one with a table of ${field.end - field.start} bytes.`,
      );
    }
  }
}

function tooManyPieces(name: string): SpeechError {
  return new SpeechError(
    "LIMIT_EXCEEDED",
    `${name}: expected at most ${MAX_PIECES} pieces, got more. No known tokenizer has a quarter of that.`,
  );
}
