import type { ByteSource } from "@nemo-stt/core";
import { id3v2Bytes } from "./id3.ts";
import { findMpegFrame } from "./mpeg-frame.ts";

/** What the bytes of a file are, whatever its name says. */
export type Sniffed =
  | { readonly kind: "wav" | "flac" | "mp3" | "ogg" | "webm"; readonly name: string; readonly start: number }
  /** Read by ffmpeg where it is installed; `demuxer` is ffmpeg's name of the format. */
  | { readonly kind: "other-audio"; readonly name: string; readonly demuxer: string }
  | { readonly kind: "no-audio"; readonly name: string }
  | { readonly kind: "unknown" };

const HEAD_BYTES = 4096;
/** An MP3 without a tag may begin with a cut frame, or silence that an editor left. */
const MPEG_SEARCH_BYTES = 65_536;
/** Some programs write one tag before another. */
const MAX_TAGS = 8;

type Rule = readonly [offset: number, magic: string, is: Sniffed];
const audio = (kind: "wav" | "flac" | "ogg" | "webm", name: string): Sniffed => ({ kind, name, start: 0 });
const other = (name: string, demuxer: string): Sniffed => ({ kind: "other-audio", name, demuxer });
const noAudio = (name: string): Sniffed => ({ kind: "no-audio", name });

/** Bytes by which formats are told; of two that fit, the first counts. */
const RULES: readonly Rule[] = [
  [8, "AVI LIST", other("AVI", "avi")],
  [0, "RIFF", audio("wav", "WAV")],
  [0, "RIFX", audio("wav", "WAV")],
  [0, "RF64", audio("wav", "WAV")],
  [0, "BW64", audio("wav", "WAV")],
  [0, "fLaC", audio("flac", "FLAC")],
  [0, "OggS", audio("ogg", "OGG")],
  [0, "\x1a\x45\xdf\xa3", audio("webm", "WebM or Matroska")],
  [4, "ftyp", other("MP4", "mov")],
  [4, "moov", other("MP4", "mov")],
  [4, "mdat", other("MP4", "mov")],
  [0, "riff\x2e\x91\xcf\x11", other("Wave64", "w64")],
  [0, "FORM", other("AIFF", "aiff")],
  [0, "caff", other("CAF", "caf")],
  [0, ".snd", other("AU", "au")],
  [0, "#!AMR", other("AMR", "amr")],
  [0, "NIST_1A", other("NIST SPHERE", "nistsphere")],
  [0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", other("WMA", "asf")],
  [0, "wvpk", other("WavPack", "wv")],
  [0, "MAC ", other("Monkey's Audio", "ape")],
  [0, "TTA1", other("TTA", "tta")],
  [0, "FLV\x01", other("FLV", "flv")],
  [0, "\x0b\x77", other("AC-3", "ac3")],
  [0, "%PDF", noAudio("a PDF document")],
  [0, "PK\x03\x04", noAudio("a zip archive")],
  [0, "\x1f\x8b\x08", noAudio("a gzip archive")],
  [0, "BZh", noAudio("a bzip2 archive")],
  [0, "\xfd7zXZ", noAudio("an xz archive")],
  [0, "7z\xbc\xaf", noAudio("a 7-Zip archive")],
  [0, "\x28\xb5\x2f\xfd", noAudio("a Zstandard archive")],
  [257, "ustar", noAudio("a tar archive")],
  [0, "\x89PNG", noAudio("a PNG picture")],
  [0, "\xff\xd8\xff", noAudio("a JPEG picture")],
  [0, "GIF8", noAudio("a GIF picture")],
  [0, "\x7fELF", noAudio("a program")],
];

/** Tells a file's format from its content. Reads at most 64 KiB, and some bytes behind each tag. */
export async function sniffAudio(source: ByteSource): Promise<Sniffed> {
  let start = 0;
  for (let i = 0; i < MAX_TAGS; i++) {
    const head = await source.read(start, Math.min(source.sizeBytes, start + HEAD_BYTES));
    const tagBytes = id3v2Bytes(head);
    if (tagBytes === 0) return i === 0 ? sniffHead(source, head) : sniffBehindTag(head, start);
    start = Math.min(source.sizeBytes, start + tagBytes);
  }
  return { kind: "unknown" };
}

/** Behind an ID3 tag stands MP3, and from some programs FLAC. */
function sniffBehindTag(head: Uint8Array, start: number): Sniffed {
  if (startsWith(head, 0, "fLaC")) return { kind: "flac", name: "FLAC", start };
  if (isAdts(head)) return other("AAC", "aac");
  return { kind: "mp3", name: "MP3", start };
}

async function sniffHead(source: ByteSource, head: Uint8Array): Promise<Sniffed> {
  const rule = RULES.find(([offset, magic]) => startsWith(head, offset, magic));
  if (rule) return rule[2];
  if (isTransportStream(head)) return other("MPEG-TS", "mpegts");
  if (isAdts(head)) return other("AAC", "aac");
  const more = await source.read(0, Math.min(source.sizeBytes, MPEG_SEARCH_BYTES));
  const frame = findMpegFrame(more);
  if (frame) return { kind: "mp3", name: "MP3", start: 0 };
  return isText(head) ? noAudio(describeText(head)) : { kind: "unknown" };
}

function startsWith(bytes: Uint8Array, offset: number, magic: string): boolean {
  for (let i = 0; i < magic.length; i++) if (bytes[offset + i] !== magic.charCodeAt(i)) return false;
  return true;
}

/** Three packets of 188 bytes in a row. */
function isTransportStream(head: Uint8Array): boolean {
  return head.length > 376 && [0, 188, 376].every((at) => head[at] === 0x47);
}

/** Two AAC frames in a row (ISO/IEC 13818-7, section 6.2). */
function isAdts(head: Uint8Array): boolean {
  const isFrame = (at: number) => at + 6 < head.length && head[at] === 0xff && (head[at + 1] & 0xf6) === 0xf0;
  if (!isFrame(0)) return false;
  const sizeBytes = ((head[3] & 3) << 11) | (head[4] << 3) | (head[5] >> 5);
  return sizeBytes >= 7 && isFrame(sizeBytes);
}

/** Shorter files of any kind may look like text. */
const MIN_TEXT_BYTES = 32;

/** Printable ASCII or UTF-8 alone: samples of sound have bytes of zero, or of every value, within moments. */
function isText(head: Uint8Array): boolean {
  if (head.length < MIN_TEXT_BYTES) return false;
  for (const byte of head) {
    const isControl = byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d;
    if (isControl || byte === 0x7f) return false;
  }
  try {
    // The head may end within a character, which a stream allows.
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function describeText(head: Uint8Array): string {
  const text = new TextDecoder().decode(head).trimStart().toLowerCase();
  if (text.startsWith("version https://git-lfs"))
    return "a Git LFS pointer (fetch the file itself with `git lfs pull`)";
  if (text.startsWith("<!doctype html") || text.startsWith("<html")) return "a web page";
  return "text";
}
