import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { inflateGzip } from "../../src/checkpoint/gzip.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import { readPickle } from "../../src/checkpoint/pickle.ts";
import { encodeSafetensors, openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { indexTar } from "../../src/checkpoint/tar.ts";
import { readTensor } from "../../src/checkpoint/tensor-data.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { TORCH_RULES } from "../../src/checkpoint/torch-objects.ts";
import { parseModelConfig } from "../../src/checkpoint/yaml.ts";
import { indexZip, locateEntries } from "../../src/checkpoint/zip.ts";
import { float32, int64, type Tensor } from "../../src/tensor.ts";
import { paxRecord, tarArchive, utf8, withChecksum, zipArchive } from "../checkpoint/archive-writers.ts";
import {
  call,
  dict,
  global,
  int,
  list,
  pickle,
  raw,
  storage,
  tensor,
  text,
  tuple,
} from "../checkpoint/pickle-writer.ts";
import { countingSource } from "./counting-source.ts";
import { fuzz } from "./fuzz.ts";

const fixture = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../checkpoint/fixtures/${name}`, import.meta.url)));
const torchFiles = ["views.pt", "dtypes.pt", "protocol1.pt", "nested-protocol4.pt", "without-crc.pt"].map(fixture);
const legacy = fixture("legacy.pt");
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: OmegaConf writes its interpolations so.
const CONFIG = utf8(
  "a: &x {b: 1e-5, c: [yes, 'no', ~, 0x1F]}\nd: *x\ne: {<<: *x, f: \"\\u2581\"}\n? g\n: |\n  text\n  more\nh: ${a.b}\ni: {j: 'x${..h}', k: ???}\n",
);
const EXPERIMENT = utf8("r: 1\nmodel:\n  l: ${model.m}\n  m: [1, {n: '${r}'}]\n  train_ds: {path: '${gone}'}\n");
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above.

const tars = [
  tarArchive([
    { name: "./", type: "5" },
    { name: "p", type: "x", data: paxRecord("path", "long/name") },
    { name: "s", data: utf8("content") },
    { name: "L", type: "L", data: utf8("longer/name\0") },
    { name: "t", data: new Uint8Array(600), isBase256: true },
  ]),
];
const archive = tarArchive([
  { name: "./model_config.yaml", data: CONFIG },
  { name: "./vocab.txt", data: utf8("a\nb\n") },
  { name: "./model_weights.ckpt", data: torchFiles[0] },
]);

/** Sets the checksums of headers that are where the size before them says. */
function repairTar(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at + 512 <= bytes.length; ) {
    withChecksum(bytes.subarray(at, at + 512));
    const size = Number.parseInt(new TextDecoder().decode(bytes.subarray(at + 124, at + 135)), 8);
    at += 512 + Math.ceil((size > 0 && size < bytes.length ? size : 0) / 512) * 512;
  }
  return bytes;
}

/** Sets the header's length to its last brace, where that is one. */
function repairSafetensors(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= 8)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.max(0, bytes.lastIndexOf(0x7d) - 7)), true);
  return bytes.map((byte, i) => (i < 8 ? byte : byte & 0x7f));
}

async function readAllTensors(checkpoint: Checkpoint): Promise<void> {
  for (const name of checkpoint.tensors.keys()) await checkpoint.readFloat32(name);
  for (const name of checkpoint.artifactNames) await checkpoint.artifact(name);
}

/** `data.pkl` of a torch file. */
async function pickleOf(bytes: Uint8Array): Promise<Uint8Array> {
  return (await openTorch(countingSource(bytes))).identity.pickle;
}

async function readTorch(bytes: Uint8Array): Promise<void> {
  const source = countingSource(bytes);
  const { tensors } = await openTorch(source);
  for (const tensor of tensors.values()) await readTensor(source, tensor);
}

describe("fuzz", async () => {
  fuzz("tar", tars, (bytes) => indexTar(countingSource(bytes)), { repair: repairTar });

  fuzz("gzip", [gzipSync(archive), gzipSync(new Uint8Array(100_000)), gzipSync(utf8(""))], (bytes) =>
    inflateGzip(countingSource(bytes)),
  );

  fuzz(
    "zip",
    [false, true].map((isZip64) =>
      zipArchive(
        [
          { name: "a/data.pkl", data: utf8("x") },
          { name: "b", data: utf8("yy"), localExtra: 5 },
        ],
        { isZip64, comment: "c" },
      ),
    ),
    async (bytes) => {
      const source = countingSource(bytes);
      await locateEntries(source, await indexZip(source));
    },
  );

  const pickles = [
    pickle(
      dict(
        [text("a"), tensor(storage("0", 6), 0, [2, 3], [3, 1])],
        [text("b"), list(int(1), tuple(raw("N", 0x88)), int(2 ** 40))],
      ),
    ),
    pickle(
      call(global("collections", "OrderedDict"), list(tuple(text("k"), int(1)))),
      raw("q", 0, "}bh", 0, "2", 0x86, "r", 1, 0, 0, 0),
    ),
    legacy.slice(legacy.indexOf(0x2e, 100) + 1),
    await pickleOf(torchFiles[2]),
    await pickleOf(torchFiles[3]),
  ];
  fuzz("pickle", pickles, (bytes) => readPickle(bytes, 0, TORCH_RULES, "input"));

  fuzz("torch", torchFiles, readTorch);

  // In a zip of their storages and with right checksums, so that mutations reach the tensors.
  const { identity } = await openTorch(countingSource(torchFiles[2]));
  const storages = identity.storages.map(({ key, start, end }) => ({
    name: `m/${key}`,
    data: torchFiles[2].slice(start, end),
  }));
  fuzz("state dict", pickles.slice(-2), (bytes) =>
    readTorch(zipArchive([{ name: "m/data.pkl", data: bytes }, ...storages])),
  );

  fuzz("legacy torch", [legacy], readTorch);

  const safetensors = encodeSafetensors(
    new Map<string, Tensor>([
      ["a", float32(Float32Array.of(1, 2), [2])],
      ["b", int64([3])],
    ]),
    new Map([["k", "v"]]),
  );
  fuzz(
    "safetensors",
    [safetensors],
    async (bytes) => {
      const file = await openSafetensors(countingSource(bytes));
      for (const name of file.tensors.keys()) await file.readFloat32(name);
    },
    { repair: repairSafetensors },
  );

  fuzz("YAML", [CONFIG, EXPERIMENT], (bytes) => parseModelConfig(bytes, "input"), {
    repair: (bytes) => bytes.map((byte) => byte & 0x7f),
  });

  fuzz("nemo", [archive], async (bytes) => readAllTensors(await openNemo(countingSource(bytes))), {
    repair: repairTar,
  });
});
