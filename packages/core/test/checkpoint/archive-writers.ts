import type { ByteSource } from "../../src/bytes.ts";
import { checkRange } from "../../src/bytes.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";

/** Bytes of a text. */
export const utf8 = (text: string) => new TextEncoder().encode(text);

/** Byte arrays behind one another. */
export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}

/** One member of a tar to write. */
export interface TarMember {
  readonly name: string;
  readonly data?: Uint8Array;
  readonly type?: string;
  readonly prefix?: string;
  /** Stands in the header instead of the data's size. */
  readonly size?: number;
  readonly isBase256?: boolean;
}

/** A header as POSIX ustar has it, checksum included. */
export function tarHeader({
  name,
  data,
  type = "0",
  prefix = "",
  size = data?.length ?? 0,
  isBase256 = false,
}: TarMember) {
  const block = new Uint8Array(512);
  block.set(utf8(name).subarray(0, 100), 0);
  block.set(utf8("0000644\0"), 100);
  if (isBase256) {
    block[124] = 0x80;
    new DataView(block.buffer).setBigUint64(128, BigInt(size));
  } else {
    block.set(utf8(`${size.toString(8).padStart(11, "0")} `), 124);
  }
  block.set(utf8(type), 156);
  block.set(utf8("ustar\u000000"), 257);
  block.set(utf8(prefix), 345);
  return withChecksum(block);
}

/** Sets the checksum of a tar header. */
export function withChecksum(block: Uint8Array): Uint8Array {
  block.set(utf8("        "), 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(utf8(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

/** Bytes padded to whole blocks. */
export function padded(data: Uint8Array, blockBytes = 512): Uint8Array {
  return concat(data, new Uint8Array((blockBytes - (data.length % blockBytes)) % blockBytes));
}

/** A tar archive with its two zero blocks. */
export function tarArchive(members: readonly TarMember[]): Uint8Array {
  const parts = members.flatMap((member) => [tarHeader(member), padded(member.data ?? new Uint8Array(0))]);
  return concat(...parts, new Uint8Array(1024));
}

/** The pax record `length key=value\n`. */
export function paxRecord(key: string, value: string): Uint8Array {
  const rest = ` ${key}=${value}\n`;
  let length = utf8(rest).length + 1;
  while (String(length).length + utf8(rest).length !== length) length++;
  return utf8(`${length}${rest}`);
}

/** One entry of a zip to write. */
export interface ZipMember {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  /** Extra bytes of the local header only, as torch pads with. */
  readonly localExtra?: number;
  /** Stands in the directory instead of the true position. */
  readonly headerStart?: number;
}

/** A zip with stored entries, as `torch.save` writes it: sizes in the directory only. */
export function zipArchive(
  members: readonly ZipMember[],
  {
    isZip64 = false,
    comment = "",
    position: first = 0,
  }: { isZip64?: boolean; comment?: string; position?: number } = {},
): Uint8Array {
  const locals: Uint8Array[] = [];
  const centrals: Uint8Array[] = [];
  let position = first;
  for (const member of members) {
    const local = concat(localHeader(member), member.data);
    centrals.push(centralRecord(member, member.headerStart ?? position, isZip64));
    locals.push(local);
    position += local.length;
  }
  const directory = concat(...centrals);
  return concat(...locals, directory, zipEnd(position, directory.length, members.length, isZip64, comment));
}

/** A local header with its name and padding. */
export function localHeader({ name, flags = 0x808, method = 0, localExtra = 0 }: ZipMember): Uint8Array {
  const header = new Uint8Array(30);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(6, flags, true);
  view.setUint16(8, method, true);
  view.setUint16(26, utf8(name).length, true);
  view.setUint16(28, localExtra, true);
  return concat(header, utf8(name), new Uint8Array(localExtra));
}

/** A record of the central directory; with `isZip64` all sizes stand in the extra field. */
export function centralRecord(member: ZipMember, headerStart: number, isZip64: boolean, size = member.data.length) {
  const record = new Uint8Array(46);
  const view = new DataView(record.buffer);
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(8, member.flags ?? 0x808, true);
  view.setUint16(10, member.method ?? 0, true);
  view.setUint32(16, member.crc ?? crc32(member.data), true);
  view.setUint32(20, isZip64 ? 0xffffffff : size, true);
  view.setUint32(24, isZip64 ? 0xffffffff : size, true);
  view.setUint16(28, utf8(member.name).length, true);
  view.setUint16(30, isZip64 ? 28 : 0, true);
  view.setUint32(42, isZip64 ? 0xffffffff : headerStart, true);
  const extra = new DataView(new ArrayBuffer(isZip64 ? 28 : 0));
  if (isZip64) {
    extra.setUint16(0, 1, true);
    extra.setUint16(2, 24, true);
    for (const [i, value] of [size, size, headerStart].entries()) extra.setBigUint64(4 + i * 8, BigInt(value), true);
  }
  return concat(record, utf8(member.name), new Uint8Array(extra.buffer));
}

/** The end records. */
export function zipEnd(start: number, size: number, numEntries: number, isZip64: boolean, comment = ""): Uint8Array {
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, isZip64 ? 0xffff : numEntries, true);
  end.setUint16(10, isZip64 ? 0xffff : numEntries, true);
  end.setUint32(12, isZip64 ? 0xffffffff : size, true);
  end.setUint32(16, isZip64 ? 0xffffffff : start, true);
  end.setUint16(20, comment.length, true);
  const end64 = new DataView(new ArrayBuffer(isZip64 ? 76 : 0));
  if (isZip64) {
    end64.setUint32(0, 0x06064b50, true);
    end64.setBigUint64(4, 44n, true);
    end64.setBigUint64(24, BigInt(numEntries), true);
    end64.setBigUint64(32, BigInt(numEntries), true);
    end64.setBigUint64(40, BigInt(size), true);
    end64.setBigUint64(48, BigInt(start), true);
    end64.setUint32(56, 0x07064b50, true);
    end64.setBigUint64(64, BigInt(start + size), true);
    end64.setUint32(72, 1, true);
  }
  return concat(new Uint8Array(end64.buffer), new Uint8Array(end.buffer), utf8(comment));
}

/** A source of any size that holds the given parts and is zero elsewhere; counts what is read of it. */
export function sparseSource(
  sizeBytes: number,
  parts: readonly { start: number; bytes: Uint8Array }[],
  name = "sparse",
): ByteSource & { numReads: number; numBytesRead: number } {
  const self = {
    name,
    sizeBytes,
    numReads: 0,
    numBytesRead: 0,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      self.numReads++;
      self.numBytesRead += end - start;
      const out = new Uint8Array(end - start);
      for (const part of parts) {
        const from = Math.max(start, part.start);
        const to = Math.min(end, part.start + part.bytes.length);
        if (from < to) out.set(part.bytes.subarray(from - part.start, to - part.start), from - start);
      }
      return out;
    },
  };
  return self;
}
