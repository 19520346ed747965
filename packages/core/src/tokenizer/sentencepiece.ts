import { strictTextDecoder } from "../checkpoint/text.ts";
import { shown } from "../config/block.ts";
import { SpeechError } from "../errors.ts";
import type { SentencePieceData, Tokenizer } from "./tokenizer.ts";

/** The mark of a space in pieces. */
const SPACE = "\u2581";

/** Decodes as `SentencePieceProcessor::Decode` does (sentencepiece_processor.cc). */
export function sentencePieceTokenizer(data: SentencePieceData): Tokenizer {
  const { pieces, types } = data;
  const surfaces = pieces.map((piece, id) => {
    if (types[id] === "control") return "";
    return types[id] === "unknown" ? data.unkSurface : piece.replaceAll(SPACE, " ");
  });
  const bytes = pieces.map((piece, id) => (types[id] === "byte" ? byteOf(piece) : -1));
  const isText = (id: number): boolean => types[id] !== "control" && types[id] !== "unknown";
  return {
    kind: "sentencepiece",
    size: pieces.length,
    pieces,
    data,
    decode: (ids) => decode(ids, { surfaces, bytes, isText, leadingSpace: data.leadingSpace }),
    startsWord: (id) => isText(id) && pieces[id]?.startsWith(SPACE) === true,
    language: () => undefined,
  };
}

interface Surfaces {
  readonly surfaces: readonly string[];
  /** -1 for pieces that are no bytes. */
  readonly bytes: readonly number[];
  readonly isText: (id: number) => boolean;
  readonly leadingSpace: SentencePieceData["leadingSpace"];
}

function decode(ids: readonly number[], { surfaces, bytes, isText, leadingSpace }: Surfaces): string {
  let text = "";
  let run: number[] = [];
  // While the text has not begun, the space that the encoder put in front of it is taken off again.
  let isAtStart = leadingSpace !== "none";
  for (const id of ids) {
    const surface = surfaces[id];
    if (surface === undefined)
      throw new RangeError(`decode: expected ids in [0, ${surfaces.length}), got ${id}. Give ids of this tokenizer.`);
    if (bytes[id] >= 0) {
      run.push(bytes[id]);
      continue;
    }
    text += textOfBytes(run);
    run = [];
    if (text !== "") isAtStart = false;
    if (isAtStart && isText(id) && surface.startsWith(" ")) {
      text += surface.slice(1);
      if (leadingSpace === "one") isAtStart = false;
    } else {
      text += surface;
    }
  }
  return text + textOfBytes(run);
}

/**
 * The text of a run of byte pieces. Every byte that begins no whole character becomes U+FFFD by itself, which is not what
 * a Web decoder does with a character that was cut off.
 */
function textOfBytes(run: readonly number[]): string {
  let text = "";
  for (let at = 0; at < run.length; ) {
    const length = characterLength(run[at]);
    const character = length > 0 && at + length <= run.length ? wholeCharacter(run.slice(at, at + length)) : undefined;
    text += character ?? "\ufffd";
    at += character === undefined ? 1 : length;
  }
  return text;
}

function characterLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc0 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf8 ? 4 : 0;
}

function wholeCharacter(bytes: readonly number[]): string | undefined {
  try {
    return strictTextDecoder.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** The byte of a piece `<0x00>` … `<0xFF>`. */
function byteOf(piece: string): number {
  const match = /^<0x([0-9A-F]{2})>$/.exec(piece);
  if (!match) {
    throw new SpeechError("FORMAT_INVALID", `tokenizer: expected a byte piece like <0x0A>, got ${shown(piece)}.`);
  }
  return Number.parseInt(match[1], 16);
}
