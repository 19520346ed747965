import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { quote, textDecoder } from "./text.ts";

/** One stored file of a zip, as its central directory describes it. */
export interface ZipEntry {
  readonly name: string;
  readonly sizeBytes: number;
  readonly crc32: number;
  /** Position of the local header. */
  readonly headerStart: number;
}

const END_BYTES = 22;
const END64_LOCATOR_BYTES = 20;
const END64_BYTES = 56;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
/** Largest comment of a zip, after its end record. */
const MAX_COMMENT_BYTES = 0xffff;
/** One entry is one storage; the largest speech models have about 3000. */
const MAX_ENTRIES = 100_000;
/** Local headers closer together than this are read at once. */
const HEADER_GROUP_BYTES = 1 << 16;
const HEADER_GROUPS_AT_ONCE = 32;

/**
 * Reads the central directory of a zip whose entries are stored (method 0), as `torch.save` writes them, zip64
 * included (PKWARE APPNOTE 4.3). Entries that overlap each other or the directory are refused.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED` (compressed or encrypted entries, several disks),
 * `LIMIT_EXCEEDED`.
 */
export async function indexZip(source: ByteSource): Promise<ZipEntry[]> {
  const directory = await findDirectory(source);
  const bytes = await source.read(directory.start, directory.end);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = new Map<string, ZipEntry>();
  let position = 0;
  for (let i = 0; i < directory.numEntries; i++) {
    const where = `${source.name}: zip entry ${i}`;
    if (position + CENTRAL_BYTES > bytes.length || view.getUint32(position, true) !== 0x02014b50) {
      throw invalid(where, `a record at byte ${directory.start + position} of the central directory`, "something else");
    }
    const numNameBytes = view.getUint16(position + 28, true);
    const numExtraBytes = view.getUint16(position + 30, true);
    const end = position + CENTRAL_BYTES + numNameBytes + numExtraBytes + view.getUint16(position + 32, true);
    if (end > bytes.length) throw invalid(where, "a whole record", "one that reaches beyond the directory");
    const entry = parseEntry(view, position, where);
    if (entries.has(entry.name)) throw invalid(where, "different names", `${quote(entry.name)} twice`);
    entries.set(entry.name, entry);
    position = end;
  }
  checkOverlap([...entries.values()], directory.start, source.name);
  return [...entries.values()];
}

/**
 * The positions of the entries' data, in the order given. They stand behind the local headers, whose length the central
 * directory does not tell; headers are read in groups, several groups at a time, so that hundreds of them cost few
 * round trips.
 * @throws SpeechError `FORMAT_INVALID`.
 */
export async function locateEntries(source: ByteSource, entries: readonly ZipEntry[]): Promise<number[]> {
  const order = entries.map((_, index) => index).sort((a, b) => entries[a].headerStart - entries[b].headerStart);
  const groups: number[][] = [];
  for (const index of order) {
    const group = groups.at(-1);
    const groupStart = group === undefined ? Number.NEGATIVE_INFINITY : entries[group[0]].headerStart;
    if (entries[index].headerStart - groupStart < HEADER_GROUP_BYTES) group!.push(index);
    else groups.push([index]);
  }
  const starts = new Array<number>(entries.length);
  for (let i = 0; i < groups.length; i += HEADER_GROUPS_AT_ONCE) {
    await Promise.all(
      groups.slice(i, i + HEADER_GROUPS_AT_ONCE).map((group) => locateGroup(source, entries, group, starts)),
    );
  }
  const sizes = entries.map((entry, i) => ({
    name: entry.name,
    start: entry.headerStart,
    end: starts[i] + entry.sizeBytes,
  }));
  checkDisjoint(sizes, source.sizeBytes, source.name);
  return starts;
}

async function locateGroup(
  source: ByteSource,
  entries: readonly ZipEntry[],
  group: readonly number[],
  starts: number[],
): Promise<void> {
  const from = entries[group[0]].headerStart;
  const bytes = await source.read(from, entries[group.at(-1)!].headerStart + LOCAL_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const index of group) {
    const { headerStart, name } = entries[index];
    const at = headerStart - from;
    if (view.getUint32(at, true) !== 0x04034b50) {
      throw invalid(`${source.name}: zip entry ${quote(name)}`, `its header at byte ${headerStart}`, "something else");
    }
    starts[index] = headerStart + LOCAL_BYTES + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  }
}

interface Directory {
  readonly start: number;
  readonly end: number;
  readonly numEntries: number;
}

async function findDirectory(source: ByteSource): Promise<Directory> {
  const tailStart = Math.max(0, source.sizeBytes - END_BYTES - MAX_COMMENT_BYTES - END64_LOCATOR_BYTES);
  const tail = await source.read(tailStart, source.sizeBytes);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  let at = tail.length - END_BYTES;
  while (
    at >= 0 &&
    !(view.getUint32(at, true) === 0x06054b50 && at + END_BYTES + view.getUint16(at + 20, true) === tail.length)
  )
    at--;
  const where = `${source.name}: zip end record`;
  if (at < 0) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected it in the last 64 KiB, got none. The file is truncated; download it again.`,
    );
  }
  if (view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== 0xffff) throw severalDisks(where);
  const locator = at - END64_LOCATOR_BYTES;
  const isZip64 = locator >= 0 && view.getUint32(locator, true) === 0x07064b50;
  const directory = isZip64 ? await readEnd64(source, readUint64(view, locator + 8, where), where) : readEnd(view, at);
  if (!(directory.end <= tailStart + at))
    throw invalid(where, "a central directory before it", "one that reaches beyond it");
  if (directory.numEntries > MAX_ENTRIES || directory.end - directory.start > MAX_ENTRIES * 300) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected at most ${MAX_ENTRIES} entries, got ${directory.numEntries}. This is no model.`,
    );
  }
  return directory;
}

function readEnd(view: DataView, at: number): Directory {
  const start = view.getUint32(at + 16, true);
  return { start, end: start + view.getUint32(at + 12, true), numEntries: view.getUint16(at + 10, true) };
}

async function readEnd64(source: ByteSource, start: number, where: string): Promise<Directory> {
  if (start + END64_BYTES > source.sizeBytes) throw invalid(where, "a zip64 end record", "a position beyond the end");
  const bytes = await source.read(start, start + END64_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0x06064b50) throw invalid(where, "a zip64 end record", "something else");
  if (view.getUint32(16, true) !== 0) throw severalDisks(where);
  const directoryStart = readUint64(view, 48, where);
  return {
    start: directoryStart,
    end: directoryStart + readUint64(view, 40, where),
    numEntries: readUint64(view, 32, where),
  };
}

function parseEntry(view: DataView, at: number, where: string): ZipEntry {
  const numNameBytes = view.getUint16(at + 28, true);
  const nameStart = at + CENTRAL_BYTES;
  const name = textDecoder.decode(new Uint8Array(view.buffer, view.byteOffset + nameStart, numNameBytes));
  const sizes = {
    unpacked: view.getUint32(at + 24, true),
    packed: view.getUint32(at + 20, true),
    headerStart: view.getUint32(at + 42, true),
  };
  const extra = new DataView(view.buffer, view.byteOffset + nameStart + numNameBytes, view.getUint16(at + 30, true));
  readZip64Extra(extra, sizes, where);
  const method = view.getUint16(at + 10, true);
  const isEncrypted = (view.getUint16(at + 8, true) & 1) !== 0;
  if (method !== 0 || isEncrypted) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${where} ${quote(name)}: expected stored data, got ${isEncrypted ? "encrypted data" : `compression method ${method}`}. Write the file with torch.save, or zip it without compression (zip -0).`,
    );
  }
  if (sizes.packed !== sizes.unpacked) {
    throw invalid(`${where} ${quote(name)}`, "equal sizes of stored data", `${sizes.packed} and ${sizes.unpacked}`);
  }
  return { name, sizeBytes: sizes.unpacked, crc32: view.getUint32(at + 16, true), headerStart: sizes.headerStart };
}

/** Extra field 1: 64-bit values, in this order, of those fields whose 32 bits are all set (APPNOTE 4.5.3). */
function readZip64Extra(
  extra: DataView,
  sizes: { unpacked: number; packed: number; headerStart: number },
  where: string,
): void {
  const missing = (["unpacked", "packed", "headerStart"] as const).filter((key) => sizes[key] === 0xffffffff);
  for (let at = 0; missing.length > 0 && at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) === 1) {
      if (length < missing.length * 8 || at + 4 + length > extra.byteLength) break;
      missing.forEach((key, i) => {
        sizes[key] = readUint64(extra, at + 4 + i * 8, where);
      });
      return;
    }
    at += 4 + length;
  }
  if (missing.length > 0) throw invalid(where, "a zip64 extra field", "none");
}

/** The least an entry can take (its header, name and data) must end before the next header and the directory. */
function checkOverlap(entries: readonly ZipEntry[], directoryStart: number, name: string): void {
  const parts = entries.map((entry) => ({
    name: entry.name,
    start: entry.headerStart,
    end: entry.headerStart + LOCAL_BYTES + entry.sizeBytes,
  }));
  checkDisjoint(parts, directoryStart, name);
}

function checkDisjoint(parts: { name: string; start: number; end: number }[], limit: number, sourceName: string): void {
  parts.sort((a, b) => a.start - b.start);
  for (const [i, part] of parts.entries()) {
    const end = parts[i + 1]?.start ?? limit;
    if (part.end > end) {
      throw invalid(`${sourceName}: zip entry ${quote(part.name)}`, `an end by byte ${end}`, `an end at ${part.end}`);
    }
  }
}

function readUint64(view: DataView, at: number, where: string): number {
  const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  if (!Number.isSafeInteger(value)) throw invalid(where, "a position in the file", String(value));
  return value;
}

function severalDisks(where: string): SpeechError {
  return new SpeechError(
    "FORMAT_UNSUPPORTED",
    `${where}: expected one file, got a part of a zip split in several. Join it first.`,
  );
}

function invalid(where: string, expected: string, got: string): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected ${expected}, got ${got}. The file is corrupt; download it again.`,
  );
}
