import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { quote, textDecoder } from "./text.ts";

/** A file inside an archive: bytes `[start, end)` of the archive's source. */
export interface ArchiveMember {
  /** Without leading `./`; components joined by `/`. */
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const BLOCK_BYTES = 512;
/** NeMo writes fewer than twenty members; the limit bounds the time an archive of empty files can take. */
const MAX_HEADERS = 10_000;
/** Extended headers hold paths and times, never content. */
const MAX_EXTENDED_BYTES = 1 << 20;

interface Header {
  readonly name: string;
  readonly sizeBytes: number;
  readonly type: string;
}

/** What extended headers say about the next member (and, for pax `g`, about all that follow). */
interface Extension {
  readonly name?: string;
  readonly sizeBytes?: number;
}

/**
 * Indexes a tar archive: v7, ustar, GNU (long names, base-256 sizes) and pax (`x` and `g` headers), as POSIX
 * `pax(1)` and Python's `tarfile` have them. Only headers are read. Directories are left out; of members with the same
 * name the last one counts, as when extracting.
 * @throws SpeechError `FORMAT_INVALID` (corrupt, truncated, unsafe names, links), `FORMAT_UNSUPPORTED` (sparse files),
 * `LIMIT_EXCEEDED`.
 */
export async function indexTar(source: ByteSource): Promise<ArchiveMember[]> {
  const members = new Map<string, ArchiveMember>();
  let global: Extension = {};
  let next: Extension = {};
  let position = 0;
  for (let numHeaders = 0; position < source.sizeBytes; numHeaders++) {
    const where = `${source.name}: tar header at byte ${position}`;
    if (numHeaders === MAX_HEADERS) {
      throw new SpeechError(
        "LIMIT_EXCEEDED",
        `${where}: expected at most ${MAX_HEADERS} headers. This is no model archive.`,
      );
    }
    if (position + BLOCK_BYTES > source.sizeBytes)
      throw truncated(where, `${source.sizeBytes - position} of 512 bytes`);
    const block = await source.read(position, position + BLOCK_BYTES);
    if (block.every((byte) => byte === 0)) break;
    const header = parseHeader(block, where);
    const start = position + BLOCK_BYTES;
    if ("xgLK".includes(header.type)) {
      const extension = await readExtension(source, header, start, where);
      if (header.type === "g") global = { ...global, ...extension };
      else next = { ...next, ...extension };
      position = start + roundUp(header.sizeBytes);
      continue;
    }
    const { name: rawName, sizeBytes } = { ...header, ...global, ...next };
    next = {};
    position = start;
    if (isDirectory(header.type, rawName)) continue;
    checkType(header.type, rawName, where);
    if (start + sizeBytes > source.sizeBytes) {
      throw truncated(where, `${quote(rawName)} of ${sizeBytes} bytes with ${source.sizeBytes - start} left`);
    }
    const name = safeName(rawName, where);
    members.delete(name);
    members.set(name, { name, start, end: start + sizeBytes });
    position = start + roundUp(sizeBytes);
  }
  return [...members.values()];
}

/** True when 512 bytes are a tar header: its checksum is right. */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < BLOCK_BYTES || block[0] === 0) return false;
  const stored = /^[ \0]*([0-7]+)[ \0]*$/.exec(ascii(block, 148, 156));
  if (stored === null) return false;
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 32 : block[i];
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte; // Some old tars summed signed characters.
  }
  const value = Number.parseInt(stored[1], 8);
  return value === unsigned || value === signed;
}

function parseHeader(block: Uint8Array, where: string): Header {
  if (!isTarHeader(block)) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a header with a right checksum. The archive is corrupt.`,
    );
  }
  const type = block[156] === 0 ? "0" : String.fromCharCode(block[156]);
  const isPosix = ascii(block, 257, 265) === "ustar\u000000";
  const prefix = isPosix ? cString(block, 345, 500) : "";
  const name = cString(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    sizeBytes: parseSize(block.subarray(124, 136), where),
    type,
  };
}

/** Octal text, or big-endian base 256 where the first bit is set (GNU, for sizes of 8 GiB and more). */
function parseSize(field: Uint8Array, where: string): number {
  if ((field[0] & 0x80) === 0) {
    const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(ascii(field, 0, field.length));
    if (digits !== null) return digits[1] === "" ? 0 : Number.parseInt(digits[1], 8);
  } else if (field[0] === 0x80) {
    let size = 0;
    for (let i = 1; i < field.length; i++) size = size * 256 + field[i];
    if (Number.isSafeInteger(size)) return size;
  }
  throw new SpeechError("FORMAT_INVALID", `${where}: expected an octal or base-256 size. The archive is corrupt.`);
}

async function readExtension(source: ByteSource, header: Header, start: number, where: string): Promise<Extension> {
  if (header.sizeBytes > MAX_EXTENDED_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected an extended header of at most ${MAX_EXTENDED_BYTES} bytes, got ${header.sizeBytes}. The archive is corrupt.`,
    );
  }
  if (start + header.sizeBytes > source.sizeBytes) throw truncated(where, "an unfinished extended header");
  const bytes = await source.read(start, start + header.sizeBytes);
  if (header.type === "L") return { name: cString(bytes, 0, bytes.length) };
  if (header.type === "K") return {}; // The name of a link, which is refused anyway.
  return parsePax(bytes, where);
}

/** Records `length key=value\n`, the length counting itself. */
function parsePax(bytes: Uint8Array, where: string): Extension {
  let extension: Extension = {};
  for (let position = 0; position < bytes.length && bytes[position] !== 0; ) {
    const lengthText = /^\d{1,7} /.exec(ascii(bytes, position, position + 8))?.[0];
    const end = position + Number(lengthText ?? Number.NaN);
    const equals = bytes.indexOf(0x3d, position);
    if (!(end <= bytes.length && equals > 0 && equals < end && bytes[end - 1] === 0x0a)) {
      throw new SpeechError(
        "FORMAT_INVALID",
        `${where}: expected pax records, got something else. The archive is corrupt.`,
      );
    }
    const key = textDecoder.decode(bytes.subarray(position + lengthText!.length, equals));
    const value = textDecoder.decode(bytes.subarray(equals + 1, end - 1));
    if (key === "path") extension = { ...extension, name: value };
    if (key === "size") extension = { ...extension, sizeBytes: paxSize(value, where) };
    if (key.startsWith("GNU.sparse.")) throw sparse(where);
    position = end;
  }
  return extension;
}

function paxSize(value: string, where: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new SpeechError("FORMAT_INVALID", `${where}: expected a decimal pax size. The archive is corrupt.`);
}

function isDirectory(type: string, name: string): boolean {
  return type === "5" || (type === "0" && name.endsWith("/"));
}

function checkType(type: string, name: string, where: string): void {
  if (type === "0" || type === "7") return;
  if (type === "S") throw sparse(where);
  const kind = { "1": "a hard link", "2": "a symbolic link" }[type] ?? `an entry of type ${JSON.stringify(type)}`;
  throw new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected plain files, got ${kind} ${quote(name)}. Links and devices are refused; pack the files themselves.`,
  );
}

/** Normalises a member's name; absolute paths and `..` are refused, as NeMo does (`save_restore_connector.py`). */
function safeName(name: string, where: string): string {
  const parts = name.split(/[/\\]/).filter((part) => part !== "" && part !== ".");
  if (/^[/\\]|^[A-Za-z]:[/\\]/.test(name) || parts.includes("..") || parts.length === 0) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a relative path inside the archive, got ${quote(name)}. The archive is unsafe to unpack.`,
    );
  }
  return parts.join("/");
}

function sparse(where: string): SpeechError {
  return new SpeechError("FORMAT_UNSUPPORTED", `${where}: sparse files are not read. Pack the files without --sparse.`);
}

function truncated(where: string, got: string): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected a whole member, got ${got}. The file is truncated; download it again.`,
  );
}

function roundUp(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function cString(bytes: Uint8Array, start: number, end: number): string {
  const zero = bytes.indexOf(0, start);
  return textDecoder.decode(bytes.subarray(start, zero >= 0 && zero < end ? zero : end));
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
