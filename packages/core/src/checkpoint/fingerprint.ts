import { sha256 } from "@noble/hashes/sha2.js";
import type { ByteSource } from "../bytes.ts";
import type { TorchIdentity } from "./state-dict.ts";
import { textEncoder } from "./text.ts";

/** Artifacts up to this size are hashed whole: tokenizers have less than 10 MB, only language models have more. */
const MAX_HASHED_ARTIFACT_BYTES = 64 << 20;
const READ_BYTES = 1 << 20;

/** What a checkpoint is made of. */
export interface FingerprintParts {
  readonly config: Uint8Array;
  readonly artifacts: ReadonlyMap<string, ByteSource>;
  readonly weights: ByteSource;
  readonly identity: TorchIdentity;
}

/**
 * The identity of a checkpoint's content, 64 hexadecimal digits: SHA-256 of the configuration, the names and contents
 * of the artifacts, the pickle of the weights, and the size and CRC-32 of every storage. Packing, order and dates of the
 * archive do not change it. Reads no tensor unless the weights carry no checksums; then all of them.
 */
export async function fingerprint({ config, artifacts, weights, identity }: FingerprintParts): Promise<string> {
  const hash = sha256.create();
  const update = (label: string, bytes: Uint8Array) => {
    hash.update(textEncoder.encode(`${label} ${bytes.length}\n`));
    hash.update(bytes);
  };
  update("config", config);
  for (const [name, source] of [...artifacts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    update("artifact", textEncoder.encode(`${name}\n${source.sizeBytes}`));
    for (const [start, end] of hashedRanges(source.sizeBytes)) {
      for await (const bytes of readRange(source, start, end)) hash.update(bytes);
    }
  }
  update("pickle", identity.pickle);
  for (const { key, start, end, crc32 } of [...identity.storages].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    update("storage", textEncoder.encode(`${key}\n${end - start}\n${crc32 ?? "data"}`));
    if (crc32 !== undefined) continue;
    for await (const bytes of readRange(weights, start, end)) hash.update(bytes);
  }
  return Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All of it, or the first and last MiB of something very large. */
function hashedRanges(sizeBytes: number): [number, number][] {
  if (sizeBytes <= MAX_HASHED_ARTIFACT_BYTES) return [[0, sizeBytes]];
  return [
    [0, READ_BYTES],
    [sizeBytes - READ_BYTES, sizeBytes],
  ];
}

async function* readRange(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += READ_BYTES) yield await source.read(at, Math.min(at + READ_BYTES, end));
}
