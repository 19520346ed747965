import { type ByteSource, sliceSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { fingerprint } from "./fingerprint.ts";
import { type CreateSpill, inflateGzip, isGzip } from "./gzip.ts";
import { indexTar, isTarHeader } from "./tar.ts";
import { readTensor } from "./tensor-data.ts";
import { quote, textDecoder } from "./text.ts";
import { openTorch } from "./torch.ts";
import { parseModelConfig } from "./yaml.ts";

/** Options of `openNemo`. */
export interface OpenNemoOptions {
  /** Where a gzip archive is unpacked to; memory unless given. */
  readonly createSpill?: CreateSpill;
}

/** The members of a checkpoint, and where its weights lie in the source that `TensorInfo.offsetBytes` counts from. */
interface Members {
  readonly name: string;
  readonly files: ReadonlyMap<string, ByteSource>;
  readonly source: ByteSource;
  readonly weightsStart: number;
  readonly isUnpacked: boolean;
}

const CONFIG_NAME = "model_config.yaml";
const WEIGHTS_NAME = "model_weights.ckpt";
/** The largest published configuration has 0.6 MB. */
const MAX_CONFIG_BYTES = 4 << 20;
/** A tokenizer has a few MB; more than this is not read at once. */
const MAX_ARTIFACT_BYTES = 512 << 20;

/**
 * Opens a `.nemo`: a tar, or (before NeMo 1.7) a gzip of one, as `nemo/core/connectors/save_restore_connector.py` writes
 * and wrote them. Reads headers, the configuration, the artifacts and the pickle; no tensor. A gzip archive is unpacked
 * whole, because it cannot be read by ranges.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED`, `LIMIT_EXCEEDED`, `MODEL_INVALID`.
 */
export async function openNemo(source: ByteSource, options: OpenNemoOptions = {}): Promise<Checkpoint> {
  const head = await source.read(0, Math.min(512, source.sizeBytes));
  const isUnpacked = isGzip(head);
  const archive = isUnpacked ? await inflateGzip(source, options.createSpill) : source;
  const first = isUnpacked ? await archive.read(0, Math.min(512, archive.sizeBytes)) : head;
  if (!isTarHeader(first)) throw notAnArchive(source, first);
  const members = await indexTar(archive);
  const configs = members.map(({ name }) => name).filter((name) => `/${name}`.endsWith(`/${CONFIG_NAME}`));
  // The files stand at the root, or all in one folder where a person packed them again.
  const root = (configs.sort((a, b) => a.length - b.length)[0] ?? CONFIG_NAME).slice(0, -CONFIG_NAME.length);
  const files = new Map<string, ByteSource>();
  for (const { name, start, end } of members) {
    if (!name.startsWith(root)) continue;
    const inner = name.slice(root.length);
    files.set(inner, sliceSource(archive, start, end, `${source.name} › ${inner}`));
  }
  const weightsStart = members.find(({ name }) => name === root + WEIGHTS_NAME)?.start ?? 0;
  return openMembers({ name: source.name, files, source: archive, weightsStart, isUnpacked });
}

/**
 * Opens the files of an extracted `.nemo` (NeMo's `model_extracted_dir`). Names are relative to the directory;
 * `source` of the result is the weights' file.
 * @throws SpeechError as `openNemo`.
 */
export async function openDirectory(files: ReadonlyMap<string, ByteSource>, name = "directory"): Promise<Checkpoint> {
  const source = member(files, WEIGHTS_NAME, name);
  return openMembers({ name, files, source, weightsStart: 0, isUnpacked: false });
}

async function openMembers({ name, files, source, weightsStart, isUnpacked }: Members): Promise<Checkpoint> {
  const configBytes = await readWhole(member(files, CONFIG_NAME, name), MAX_CONFIG_BYTES);
  const config = parseModelConfig(configBytes, `${name} › ${CONFIG_NAME}`);
  const weights = member(files, WEIGHTS_NAME, name);
  const torch = await openTorch(weights);
  const tensors = new Map(
    [...torch.tensors].map(([key, info]) => [key, { ...info, offsetBytes: info.offsetBytes + weightsStart }]),
  );
  const artifacts = new Map([...files].filter(([file]) => file !== CONFIG_NAME && file !== WEIGHTS_NAME));
  return {
    name,
    config,
    tensors,
    artifactNames: [...artifacts.keys()],
    source,
    isUnpacked,
    fingerprint: await fingerprint({ config: configBytes, artifacts, weights, identity: torch.identity }),
    async artifact(configValue) {
      const file = findArtifact(artifacts, configValue);
      return file === undefined ? undefined : readWhole(file, MAX_ARTIFACT_BYTES);
    },
    async readFloat32(tensorName) {
      const tensor = tensors.get(tensorName);
      if (tensor === undefined) {
        throw new SpeechError(
          "MODEL_INVALID",
          `${name}: expected a tensor ${quote(tensorName)}, got none of that name. The checkpoint is of another model or incomplete.`,
        );
      }
      return readTensor(source, tensor);
    },
  };
}

/**
 * Finds an artifact as NeMo does: the member `nemo:NAME` names, else a member with the value's basename (archives from
 * before the prefix, whose values are paths of the machine that saved them); and, beyond NeMo, the only member that is
 * the basename behind a hash.
 */
function findArtifact(artifacts: ReadonlyMap<string, ByteSource>, configValue: string): ByteSource | undefined {
  const path = configValue.replace(/^nemo:/, "").replace(/^(\.\/)+/, "");
  const basename = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  if (basename === "") return undefined;
  const exact = artifacts.get(path) ?? artifacts.get(basename);
  if (exact !== undefined) return exact;
  const hashed = [...artifacts.keys()].filter((name) => /^[0-9a-f]{32}_/.test(name) && name.slice(33) === basename);
  return hashed.length === 1 ? artifacts.get(hashed[0]) : undefined;
}

function member(files: ReadonlyMap<string, ByteSource>, file: string, name: string): ByteSource {
  const source = files.get(file);
  if (source !== undefined) return source;
  const names = [...files.keys()];
  if (
    file === WEIGHTS_NAME &&
    names.some((other) => other.startsWith("model_weights/") || /(^|\/)mp_rank_\d+\//.test(other))
  ) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${name}: expected \`${file}\`, got a checkpoint sharded over several files. Save it from one process.`,
    );
  }
  const got =
    names.length === 0 ? "nothing" : names.slice(0, 5).map(quote).join(", ") + (names.length > 5 ? ", …" : "");
  throw new SpeechError(
    "FORMAT_INVALID",
    `${name}: expected a member \`${file}\`, got ${got}. This is no NeMo checkpoint, or an incomplete one.`,
  );
}

async function readWhole(source: ByteSource, maxBytes: number): Promise<Uint8Array> {
  if (source.sizeBytes > maxBytes) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${source.name}: expected at most ${maxBytes} bytes, got ${source.sizeBytes}. This is no file of a speech model.`,
    );
  }
  return source.read(0, source.sizeBytes);
}

/** Says what the file is instead, for the kinds people mix up. */
function notAnArchive(source: ByteSource, head: Uint8Array): SpeechError {
  const text = textDecoder.decode(head.subarray(0, 64)).trimStart().toLowerCase();
  const expected = `${source.name}: expected a tar archive, as .nemo files are`;
  if (text.startsWith("version https://git-lfs")) {
    return new SpeechError(
      "FORMAT_INVALID",
      `${expected}, got a Git LFS pointer. Download the file itself, with \`git lfs pull\`.`,
    );
  }
  if (text.startsWith("<"))
    return new SpeechError("FORMAT_INVALID", `${expected}, got a web page. Download the file itself.`);
  const kinds: [string, readonly number[]][] = [
    ["a zip (of PyTorch or others)", [0x50, 0x4b, 0x03, 0x04]],
    ["a zstd file", [0x28, 0xb5, 0x2f, 0xfd]],
    ["an xz file", [0xfd, 0x37, 0x7a, 0x58]],
    ["a bzip2 file", [0x42, 0x5a, 0x68]],
  ];
  const kind = kinds.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0];
  if (kind !== undefined)
    return new SpeechError("FORMAT_UNSUPPORTED", `${expected}, got ${kind}. Unpack it first, or give the .nemo file.`);
  return new SpeechError(
    "FORMAT_INVALID",
    `${expected}, got ${head.length === 0 ? "an empty file" : "something else"}. Download it again, or give the .nemo file.`,
  );
}
