import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { crc32 } from "./crc32.ts";
import { openLegacyTorch } from "./legacy-torch.ts";
import { readPickle } from "./pickle.ts";
import { indexStateDict, MAX_PICKLE_BYTES, type StorageRange, type TorchFile } from "./state-dict.ts";
import { quote, textDecoder } from "./text.ts";
import { TORCH_RULES } from "./torch-objects.ts";
import { indexZip, locateEntries, type ZipEntry } from "./zip.ts";

/**
 * Indexes a file of `torch.save`: the zip format of every version since 1.6, and the format before it. The state dict is
 * the root or stands under `state_dict`. Reads the directory, the pickle and the headers, no tensor.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED`, `LIMIT_EXCEEDED`, `MODEL_INVALID`.
 */
export async function openTorch(source: ByteSource): Promise<TorchFile> {
  const head = await source.read(0, Math.min(4, source.sizeBytes));
  if (head[0] === 0x50 && head[1] === 0x4b) return openTorchZip(source);
  if (head[0] === 0x80) return openLegacyTorch(source);
  throw new SpeechError(
    "FORMAT_INVALID",
    `${source.name}: expected a file of torch.save (a zip, or a pickle that begins with 80), got one that begins with ${hex(head)}. The file is corrupt or of another kind.`,
  );
}

async function openTorchZip(source: ByteSource): Promise<TorchFile> {
  const entries = await indexZip(source);
  const pickleEntry = entries.find(({ name }) => name === "data.pkl" || /^[^/]*\/data\.pkl$/.test(name));
  if (pickleEntry === undefined) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${source.name}: expected a zip with an entry \`data.pkl\`, got none. This is no file of torch.save.`,
    );
  }
  const root = pickleEntry.name.slice(0, -"data.pkl".length);
  if (entries.some(({ name }) => name.startsWith(`${root}code/`))) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${source.name}: expected a state dict, got a TorchScript program. Save the model's state_dict() instead.`,
    );
  }
  const storages = entries.filter(({ name }) => name.startsWith(`${root}data/`) && !name.endsWith("/"));
  const byteOrder = entries.find(({ name }) => name === `${root}byteorder`);
  const parts = [pickleEntry, ...storages, ...(byteOrder === undefined ? [] : [byteOrder])];
  const starts = await locateEntries(source, parts);
  if (byteOrder !== undefined) await checkByteOrder(source, starts.at(-1)!, byteOrder);
  const pickle = await readPickleEntry(source, pickleEntry, starts[0]);
  const ranges = new Map<string, StorageRange>();
  storages.forEach(({ name, sizeBytes }, i) => {
    ranges.set(name.slice(root.length + "data/".length), { start: starts[i + 1], sizeBytes });
  });
  const read = readPickle(pickle, 0, TORCH_RULES, `${source.name} › data.pkl`);
  if (read === undefined) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${source.name} › data.pkl: expected a whole pickle, got one that ends early. The file is corrupt.`,
    );
  }
  // torch can leave the checksums out; then all of them are zero.
  const hasChecksums = storages.some(({ crc32 }) => crc32 !== 0);
  return {
    tensors: indexStateDict(read.value, ranges, source.name),
    identity: {
      pickle,
      storages: storages.map((entry, i) => ({
        key: entry.name.slice(root.length),
        start: starts[i + 1],
        end: starts[i + 1] + entry.sizeBytes,
        crc32: hasChecksums ? entry.crc32 : undefined,
      })),
    },
  };
}

async function readPickleEntry(source: ByteSource, entry: ZipEntry, start: number): Promise<Uint8Array> {
  if (entry.sizeBytes > MAX_PICKLE_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${source.name} › data.pkl: expected at most ${MAX_PICKLE_BYTES} bytes, got ${entry.sizeBytes}. This is no model's state dict.`,
    );
  }
  const bytes = await source.read(start, start + entry.sizeBytes);
  if (entry.crc32 !== 0 && crc32(bytes) !== entry.crc32) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${source.name} › data.pkl: expected the checksum of the zip's directory, got another. The file is corrupt; download it again.`,
    );
  }
  return bytes;
}

async function checkByteOrder(source: ByteSource, start: number, entry: ZipEntry): Promise<void> {
  const text = textDecoder.decode(await source.read(start, start + Math.min(entry.sizeBytes, 16)));
  if (text !== "little") {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${source.name}: expected little-endian tensors, got byte order ${quote(text)}. Re-save the checkpoint on a little-endian machine.`,
    );
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ") || "nothing";
}
