import { existsSync, readFileSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type ByteSource, memorySource } from "../../src/bytes.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { memorySpill } from "../../src/checkpoint/gzip.ts";
import { openDirectory, openNemo } from "../../src/checkpoint/nemo.ts";
import { blobSource, httpSource } from "../../src/sources.ts";
import {
  centralRecord,
  concat,
  localHeader,
  sparseSource,
  type TarMember,
  tarArchive,
  tarHeader,
  utf8,
  zipEnd,
} from "./archive-writers.ts";
import { dict, pickle, storage, tensor, text } from "./pickle-writer.ts";

const weights = new Uint8Array(readFileSync(new URL("./fixtures/views.pt", import.meta.url)));
const dtypes = new Uint8Array(readFileSync(new URL("./fixtures/dtypes.pt", import.meta.url)));
const withoutCrc = new Uint8Array(readFileSync(new URL("./fixtures/without-crc.pt", import.meta.url)));
const HASH = "0123456789abcdef0123456789abcdef";
const MEMBERS: readonly TarMember[] = [
  { name: ".", type: "5" },
  { name: `./${HASH}_tokenizer.model`, data: utf8("new") },
  { name: "./vocab.txt", data: utf8("old") },
  { name: "./model_config.yaml", data: utf8("target: a.B\nsample_rate: 16000\n") },
  { name: "./model_weights.ckpt", data: weights },
];

const openBytes = (bytes: Uint8Array) => openNemo(memorySource(bytes, "x.nemo"));
const openMembers = (members: readonly TarMember[]) => openBytes(tarArchive(members));
const replaced = (name: string, data: Uint8Array) =>
  MEMBERS.map((member) => (member.name === name ? { name, data } : member));
const textOf = async (checkpoint: Checkpoint, value: string) => {
  const bytes = await checkpoint.artifact(value);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
};

describe("openNemo", () => {
  test("reads the configuration, the tensors' index, artifacts and tensors", async () => {
    const bytes = tarArchive(MEMBERS);
    const checkpoint = await openBytes(bytes);
    expect(checkpoint).toMatchObject({
      name: "x.nemo",
      config: { target: "a.B", sample_rate: 16000 },
      artifactNames: [`${HASH}_tokenizer.model`, "vocab.txt"],
      isUnpacked: false,
    });
    expect([...(await checkpoint.readFloat32("single"))]).toEqual([0, 12]);
    const { offsetBytes } = checkpoint.tensors.get("offset")!;
    expect(checkpoint.source.sizeBytes).toBe(bytes.length);
    expect([...new Float32Array((await checkpoint.source.read(offsetBytes, offsetBytes + 8)).buffer)]).toEqual([
      12, 13,
    ]);
    await expect(checkpoint.readFloat32("x")).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message:
        "x.nemo: expected a tensor `x`, got none of that name. The checkpoint is of another model or incomplete.",
    });
  });

  test("finds artifacts as NeMo does", async () => {
    const checkpoint = await openMembers(MEMBERS);
    expect(await textOf(checkpoint, `nemo:${HASH}_tokenizer.model`)).toBe("new");
    expect(await textOf(checkpoint, "/raid/data/vocab.txt")).toBe("old");
    expect(await textOf(checkpoint, "C:\\data\\vocab.txt")).toBe("old");
    expect(await textOf(checkpoint, "nemo:vocab.txt")).toBe("old");
    expect(await textOf(checkpoint, "/raid/tokenizer.model")).toBe("new");
    for (const absent of ["", "nemo:", "/raid/", "other.txt", "model_config.yaml"])
      expect(await checkpoint.artifact(absent)).toBeUndefined();
    const two = await openMembers([...MEMBERS, { name: `${HASH.replace("0", "f")}_tokenizer.model`, data: utf8("2") }]);
    expect(await two.artifact("/raid/tokenizer.model")).toBeUndefined();
  });

  test("reads gzip archives, through the platform's spill where it has one", async () => {
    const packed = gzipSync(tarArchive(MEMBERS));
    let numSpills = 0;
    const checkpoint = await openNemo(memorySource(packed, "old.nemo"), {
      createSpill: (name) => {
        numSpills++;
        return memorySpill(name);
      },
    });
    expect(numSpills).toBe(1);
    expect(checkpoint).toMatchObject({
      name: "old.nemo",
      isUnpacked: true,
      fingerprint: (await openMembers(MEMBERS)).fingerprint,
    });
    expect([...(await checkpoint.readFloat32("single"))]).toEqual([0, 12]);
  });

  test("reads a Blob and a server's ranges as it reads memory", async () => {
    const bytes = tarArchive(MEMBERS);
    const fetch = async (_: string, { headers }: { headers: Record<string, string> }) => {
      const [start, last] = headers.range.slice("bytes=".length).split("-").map(Number);
      const answer = { "content-range": `bytes ${start}-${last}/${bytes.length}` };
      return new Response(bytes.slice(start, last + 1), { status: 206, headers: answer });
    };
    const { fingerprint } = await openBytes(bytes);
    for (const source of [blobSource(new Blob([bytes.slice()])), await httpSource("https://host/x.nemo", fetch)]) {
      const checkpoint = await openNemo(source);
      expect(checkpoint.fingerprint).toBe(fingerprint);
      expect([...(await checkpoint.readFloat32("single"))]).toEqual([0, 12]);
    }
  });

  test("reads archives whose files stand in a folder", async () => {
    const moved = MEMBERS.slice(1).map((member) => ({ ...member, name: `model/${member.name}` }));
    const checkpoint = await openMembers([{ name: "model/inner/model_config.yaml", data: utf8("a: 1") }, ...moved]);
    expect(checkpoint.artifactNames).toEqual(["inner/model_config.yaml", `${HASH}_tokenizer.model`, "vocab.txt"]);
    expect([...(await checkpoint.readFloat32("single"))]).toEqual([0, 12]);
  });

  test("indexes an archive of 6 GiB by its headers alone", async () => {
    const numElements = 750 * 2 ** 20;
    const object = pickle(
      dict([text("big"), tensor(storage("0", numElements, "torch DoubleStorage"), numElements - 3, [3], [1])]),
    );
    const pkl = { name: "m/data.pkl", data: object };
    const data = { name: "m/data/0", data: new Uint8Array(0), crc: 9, localExtra: 50 };
    const head = concat(localHeader(pkl), object, localHeader(data));
    const directoryStart = head.length + numElements * 8;
    const directory = concat(
      centralRecord(pkl, 0, true),
      centralRecord(data, head.length - localHeader(data).length, true, numElements * 8),
    );
    const tail = concat(directory, zipEnd(directoryStart, directory.length, 2, true));
    const weightsSize = directoryStart + tail.length;
    const front = concat(
      tarArchive([{ name: "model_config.yaml", data: utf8("a: 1") }]).slice(0, -1024),
      tarHeader({ name: "model_weights.ckpt", size: weightsSize, isBase256: true }),
    );
    const last = front.length + directoryStart - 24;
    const source = sparseSource(Math.ceil((front.length + weightsSize) / 512) * 512, [
      { start: 0, bytes: concat(front, head) },
      { start: last, bytes: concat(new Uint8Array(Float64Array.of(1, 2, 3).buffer), tail) },
    ]);
    const checkpoint = await openNemo(source);
    expect(source.numBytesRead).toBeLessThan(200_000);
    expect(checkpoint.tensors.get("big")!.offsetBytes).toBe(last);
    expect([...(await checkpoint.readFloat32("big"))]).toEqual([1, 2, 3]);
  });

  const sharded = MEMBERS.slice(0, 4).concat({ name: "model_weights/0.distcp", data: utf8("x") });
  const refused: [string, Uint8Array, string, string][] = [
    [
      "an empty file",
      new Uint8Array(0),
      "FORMAT_INVALID",
      "x.nemo: expected a tar archive, as .nemo files are, got an empty file. Download it again, or give the .nemo file.",
    ],
    [
      "a Git LFS pointer",
      utf8("version https://git-lfs.github.com/spec/v1\n"),
      "FORMAT_INVALID",
      "x.nemo: expected a tar archive, as .nemo files are, got a Git LFS pointer. Download the file itself, with `git lfs pull`.",
    ],
    [
      "a web page",
      utf8("<!DOCTYPE html>"),
      "FORMAT_INVALID",
      "x.nemo: expected a tar archive, as .nemo files are, got a web page. Download the file itself.",
    ],
    [
      "PyTorch's weights alone",
      weights,
      "FORMAT_UNSUPPORTED",
      "x.nemo: expected a tar archive, as .nemo files are, got a zip (of PyTorch or others). Unpack it first, or give the .nemo file.",
    ],
    [
      "anything else",
      utf8("hello"),
      "FORMAT_INVALID",
      "x.nemo: expected a tar archive, as .nemo files are, got something else. Download it again, or give the .nemo file.",
    ],
    [
      "a gzip of anything else",
      gzipSync(utf8("hello")),
      "FORMAT_INVALID",
      "x.nemo: expected a tar archive, as .nemo files are, got something else. Download it again, or give the .nemo file.",
    ],
    [
      "a tar of something else",
      tarArchive([{ name: "a\nb" }, { name: "c" }]),
      "FORMAT_INVALID",
      "x.nemo: expected a member `model_config.yaml`, got `a\\x0ab`, `c`. This is no NeMo checkpoint, or an incomplete one.",
    ],
    [
      "an archive without weights",
      tarArchive(MEMBERS.slice(0, 4)),
      "FORMAT_INVALID",
      `x.nemo: expected a member \`model_weights.ckpt\`, got \`${HASH}_tokenizer.model\`, \`vocab.txt\`, \`model_config.yaml\`. This is no NeMo checkpoint, or an incomplete one.`,
    ],
    [
      "sharded weights",
      tarArchive(sharded),
      "FORMAT_UNSUPPORTED",
      "x.nemo: expected `model_weights.ckpt`, got a checkpoint sharded over several files. Save it from one process.",
    ],
    [
      "a huge configuration",
      tarArchive([{ name: "model_config.yaml", data: new Uint8Array((4 << 20) + 1) }]),
      "LIMIT_EXCEEDED",
      "x.nemo › model_config.yaml: expected at most 4194304 bytes, got 4194305. This is no file of a speech model.",
    ],
    [
      "a broken configuration",
      tarArchive(replaced("./model_config.yaml", utf8("a: 1\na: 2\n"))),
      "FORMAT_INVALID",
      "x.nemo › model_config.yaml: line 2: key `a` stands twice.",
    ],
    [
      "broken weights",
      tarArchive(replaced("./model_weights.ckpt", weights.slice(0, -1))),
      "FORMAT_INVALID",
      "x.nemo › model_weights.ckpt: zip end record: expected it in the last 64 KiB, got none. The file is truncated; download it again.",
    ],
  ];
  test.each(refused)("refuses %s", async (_, bytes, code, message) => {
    await expect(openBytes(bytes)).rejects.toMatchObject({ code, message });
  });
});

describe("openDirectory", () => {
  test("opens the extracted files, with the archive's fingerprint", async () => {
    const files = new Map<string, ByteSource>();
    for (const { name, data } of MEMBERS) if (data !== undefined) files.set(name.slice(2), memorySource(data, name));
    const checkpoint = await openDirectory(files, "folder");
    expect(checkpoint).toMatchObject({
      name: "folder",
      config: { target: "a.B" },
      fingerprint: (await openMembers(MEMBERS)).fingerprint,
    });
    expect(checkpoint.source).toBe(files.get("model_weights.ckpt"));
    expect([...(await checkpoint.readFloat32("single"))]).toEqual([0, 12]);
    expect(await textOf(checkpoint, "vocab.txt")).toBe("old");
    await expect(openDirectory(new Map(), "folder")).rejects.toThrow(
      "folder: expected a member `model_weights.ckpt`, got nothing.",
    );
  });
});

describe("the fingerprint", () => {
  test("is of the content: the same in any order, different where anything differs", async () => {
    const { fingerprint } = await openMembers(MEMBERS);
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect((await openMembers([...MEMBERS].reverse())).fingerprint).toBe(fingerprint);
    const others = [
      replaced("./vocab.txt", utf8("olb")),
      replaced("./model_config.yaml", utf8("target: a.B\nsample_rate: 16001\n")),
      replaced("./model_weights.ckpt", dtypes),
      replaced("./model_weights.ckpt", withoutCrc),
      [...MEMBERS, { name: "more.txt", data: utf8("") }],
      MEMBERS.filter(({ name }) => name !== "./vocab.txt"),
    ];
    const all = await Promise.all(others.map(async (members) => (await openMembers(members)).fingerprint));
    expect(new Set([fingerprint, ...all]).size).toBe(others.length + 1);
  });

  test("reads the tensors themselves where the file has no checksums", async () => {
    const changed = withoutCrc.slice();
    const at = Buffer.from(changed.buffer).indexOf(Buffer.from(Float32Array.of(-2.25, 3).buffer));
    changed[at] ^= 1;
    const [a, b] = await Promise.all(
      [withoutCrc, changed].map((data) => openMembers(replaced("./model_weights.ckpt", data))),
    );
    expect(a.fingerprint).not.toBe(b.fingerprint);
  });
});

/** From torch and OmegaConf: tensors, elements, their sum, their sum weighted by position, root keys, class. */
const GOLDEN: Record<string, [number, number, number, number, number, string]> = {
  "citrinet-bpe": [110, 58783, 1785.7959652727045, 4337.710477344328, 12, "EncDecCTCModelBPE"],
  "conformer-ctc-char": [90, 149751, 799.9412122334326, 21173.527166978427, 12, "EncDecCTCModel"],
  "conformer-ctc-streaming-regular": [84, 108097, 380.81256609475054, 1023.455401238476, 12, "EncDecCTCModelBPE"],
  "conformer-ctc-wpe": [90, 108611, 821.0124089489993, 20624.780808413456, 12, "EncDecCTCModelBPE"],
  "fastconformer-ctc-bpe": [96, 149187, 822.6117975293462, 28099.652298369285, 12, "EncDecCTCModelBPE"],
  "fastconformer-hybrid-streaming-short": [
    101,
    96194,
    1018.8114626749484,
    60575.000808565856,
    17,
    "EncDecHybridRNNTCTCBPEModel",
  ],
  "fastconformer-hybrid-streaming": [
    138,
    221490,
    671.7595418241365,
    15500.646988537737,
    17,
    "EncDecHybridRNNTCTCBPEModel",
  ],
  "fastconformer-local-attention": [96, 82243, -830.8006997296445, -57046.904317848486, 12, "EncDecCTCModelBPE"],
  "fastconformer-rnnt-bpe": [145, 214692, 967.6910449720738, 9952.352673271467, 16, "EncDecRNNTBPEModel"],
  "parakeet-tdt-ctc": [107, 166913, 786.0019854467362, 7525.804759581282, 17, "EncDecHybridRNNTCTCBPEModel"],
  "parakeet-tdt": [87, 177472, 1135.4943523170234, 11613.132512187782, 16, "EncDecRNNTBPEModel"],
  "quartznet-char": [71, 51735, 939.2973665821828, 16083.719301996418, 12, "EncDecCTCModel"],
  "vad-multilingual_marblenet": [84, 114270, 746934.0844964496, 759838.7764223726, 15, "EncDecClassificationModel"],
};
const shared = new URL("../../../../../shared/", import.meta.url);

describe("genuine checkpoints", () => {
  test.skipIf(!existsSync(shared)).each(Object.entries(GOLDEN))(
    "%s has torch's tensors",
    async (name, [numTensors, numElements, sum, weighted, numKeys, className]) => {
      const checkpoint = await openBytes(new Uint8Array(readFileSync(new URL(`golden/${name}/model.nemo`, shared))));
      expect(checkpoint.tensors.size).toBe(numTensors);
      expect(Object.keys(checkpoint.config)).toHaveLength(numKeys);
      expect(checkpoint.config.target).toMatch(new RegExp(`\\.${className}$`));
      const found = { numElements: 0, sum: 0, weighted: 0 };
      for (const tensor of checkpoint.tensors.keys()) {
        const values = await checkpoint.readFloat32(tensor);
        found.numElements += values.length;
        for (let i = 0; i < values.length; i++) {
          found.sum += values[i];
          found.weighted += values[i] * ((i % 97) + 1);
        }
      }
      expect(found.numElements).toBe(numElements);
      expect(found.sum / sum).toBeCloseTo(1, 9);
      expect(found.weighted / weighted).toBeCloseTo(1, 9);
    },
  );

  test.skipIf(!existsSync(shared))("one opens from a file by small ranges", async () => {
    const file = await openFile(new URL("model/nemo-stt-en-tiny.nemo", shared));
    const { size } = await file.stat();
    let numBytesRead = 0;
    const checkpoint = await openNemo({
      name: "tiny",
      sizeBytes: size,
      async read(start, end) {
        const bytes = new Uint8Array(end - start);
        await file.read(bytes, 0, bytes.length, start);
        numBytesRead += bytes.length;
        return bytes;
      },
    });
    expect(checkpoint.tensors.size).toBeGreaterThan(50);
    expect(numBytesRead).toBeLessThan(size / 5);
    await file.close();
  });
});
