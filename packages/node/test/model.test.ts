import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { exportModel, MANIFEST_NAME, memorySource } from "@nemo-stt/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  BUNDLED_MODELS,
  folderSink,
  loadModel,
  openAudio,
  openFileSource,
  openModel,
  toModelInput,
  withCheckpoint,
  withRawCheckpoint,
} from "../src/index.ts";

const TEXT = /^he said that he would come back to the house in the morning/;

let root: string;
let waveform: Float32Array;
const cacheBefore = process.env.NEMO_STT_CACHE;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nemo-stt-model-"));
  process.env.NEMO_STT_CACHE = join(root, "cache");
  const audio = await openAudio(new URL("../../../examples/audio/morning-rms.wav", import.meta.url).pathname);
  [waveform] = await toModelInput(audio, 16000);
  await audio.close();
});
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env.NEMO_STT_CACHE;
  else process.env.NEMO_STT_CACHE = cacheBefore;
  await rm(root, { recursive: true });
});

const exportsFolder = () => join(root, "cache", "exports");
const fileOf = ({ graphs }: { graphs: { encoder: object } }) => (graphs.encoder as { path: string }).path;

async function textOf(model: string): Promise<string> {
  await using recognizer = await loadModel(model);
  const [{ text }] = await recognizer.transcribe([waveform]);
  return text;
}

/** Exports a bundled model to a folder of its own. */
async function exported(model: string, name: string): Promise<string> {
  const folder = join(root, name);
  await withCheckpoint(model, async (source) => void (await exportModel(source, await folderSink(folder))));
  return folder;
}

/** The files inside a `.nemo` that is an uncompressed tar, as its extraction would give them. */
async function extracted(model: string, name: string): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder);
  const archive = await readFile(model);
  for (let at = 0; archive[at] !== 0; ) {
    const header = archive.subarray(at, at + 512);
    const path = header.subarray(0, header.indexOf(0)).toString();
    const sizeBytes = Number.parseInt(header.subarray(124, 135).toString(), 8);
    if (!path.endsWith("/"))
      await writeFile(join(folder, path.replace("./", "")), archive.subarray(at + 512, at + 512 + sizeBytes));
    at += 512 + Math.ceil(sizeBytes / 512) * 512;
  }
  return folder;
}

describe("a .nemo", () => {
  test("is exported into the cache once and read from there afterwards", async () => {
    const counts: number[] = [];
    const open = () => openModel(BUNDLED_MODELS.vad, { onExport: ({ writtenBytes }) => counts.push(writtenBytes) });
    const first = await open();
    const numReports = counts.length;
    expect(numReports).toBeGreaterThan(0);
    const { mtimeMs, ino } = await stat(fileOf(first));
    const second = await open();
    expect(counts.length).toBe(numReports);
    expect(fileOf(second)).toBe(fileOf(first));
    expect(await stat(fileOf(second))).toMatchObject({ mtimeMs, ino });
    expect(second.spec).toEqual(first.spec);
    expect(second.name).toMatch(/nemo-stt-vad-tiny\.nemo$/);
  });

  test("is kept by content and precision, not by name", async () => {
    const link = join(root, "other-name.nemo");
    await symlink(BUNDLED_MODELS.vad, link);
    const original = await openModel(BUNDLED_MODELS.vad);
    expect(fileOf(await openModel(link))).toBe(fileOf(original));
    expect(fileOf(await openModel(link, { precision: "float16" }))).not.toBe(fileOf(original));
  });

  test("may be opened several times at once while it is not in the cache", async () => {
    await rm(exportsFolder(), { recursive: true });
    const opened = await Promise.all([1, 2, 3].map(() => openModel(BUNDLED_MODELS.vad)));
    expect(new Set(opened.map(fileOf)).size).toBe(1);
    expect(await readdir(exportsFolder())).toHaveLength(1);
  });

  test("takes the place of what an older version exported of the same weights", async () => {
    const [, family, version] = /^(.+-)(\d+)$/.exec(
      basename(join(fileOf(await openModel(BUNDLED_MODELS.vad)), "..")),
    ) as RegExpExecArray;
    await rm(exportsFolder(), { recursive: true });
    const others = [`${family}${Number(version) + 1}`, `${family}next`, `${"0".repeat(32)}-float32-1`];
    for (const name of [`${family}1`, `${family}${Number(version) - 1}`, ...others]) {
      await mkdir(join(exportsFolder(), name), { recursive: true });
      await writeFile(join(exportsFolder(), name, "weights"), name);
    }
    await Promise.all([1, 2].map(() => openModel(BUNDLED_MODELS.vad)));
    expect((await readdir(exportsFolder())).sort()).toEqual([...others, `${family}${version}`].sort());
  });

  test("is exported again where the cache lost the manifest", async () => {
    const { dir, path } = await openModel(BUNDLED_MODELS.vad).then((m) => ({
      dir: join(fileOf(m), ".."),
      path: fileOf(m),
    }));
    await unlink(join(dir, MANIFEST_NAME));
    await unlink(path);
    expect(fileOf(await openModel(BUNDLED_MODELS.vad))).toBe(path);
    expect((await readdir(dir)).sort()).toContain(MANIFEST_NAME);
    expect((await stat(path)).size).toBeGreaterThan(100_000);
  });
});

describe("the bundled model", () => {
  test("gives one text as a .nemo, as an exported folder, as its graph and extracted", async () => {
    const text = await textOf(BUNDLED_MODELS.speech);
    expect(text).toMatch(TEXT);
    const folder = await exported(BUNDLED_MODELS.speech, "exported");
    expect(await textOf(folder)).toBe(text);
    expect(await textOf(join(folder, "conformer_hybrid.onnx"))).toBe(text);
    expect(await textOf(await extracted(BUNDLED_MODELS.speech, "extracted"))).toBe(text);
  });
});

describe("what is no model", () => {
  const refused = (model: string, code: string, message: string) =>
    expect(loadModel(model)).rejects.toMatchObject({ name: "SpeechError", code, message });
  const kinds = "expected a .nemo file, an exported folder, an .onnx file or a pulled model, got nothing of that name.";

  test("is not found by path or name", async () => {
    const missing = join(root, "missing.nemo");
    await refused(missing, "NOT_FOUND", `${missing}: ${kinds} Check the path.`);
    await refused(
      "nobody/nothing",
      "NOT_FOUND",
      `nobody/nothing: ${kinds} Run \`nemo-stt pull nobody/nothing\` first.`,
    );
  });

  test("lacks a file, or lies beside another model's manifest", async () => {
    const folder = await exported(BUNDLED_MODELS.vad, "vad");
    const other = join(folder, "other.onnx");
    await writeFile(other, "");
    await refused(
      other,
      "NOT_FOUND",
      `${other}: expected a graph that manifest.json beside it names (convasr_classifier.onnx), got another. Export each model to a folder of its own.`,
    );
    const speech = await exported(BUNDLED_MODELS.speech, "without-tokenizer");
    await unlink(join(speech, "tokenizer.txt"));
    await refused(
      speech,
      "NOT_FOUND",
      `${speech}: expected a file \`tokenizer.txt\`, got none. Name a folder that \`export\` wrote, or export the model again.`,
    );
  });

  test("is a classifier", async () => {
    await expect(loadModel(BUNDLED_MODELS.vad)).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringMatching(
        /nemo-stt-vad-tiny\.nemo: expected a model that writes text, got EncDecFrameClassificationModel, a classifier\. Use it with `vad`\.$/,
      ),
    });
  });

  test("is an export where a checkpoint is needed", async () => {
    const folder = await exported(BUNDLED_MODELS.vad, "no-checkpoint");
    await expect(withRawCheckpoint(folder, async () => {})).rejects.toMatchObject({
      code: "FORMAT_UNSUPPORTED",
      message: `${folder}: expected a checkpoint, got a model that is exported already. Give the .nemo file that it was made from.`,
    });
  });
});

describe("folderSink", () => {
  test("makes the folder, writes in pieces and copies what a file begins with", async () => {
    const folder = join(root, "deep", "sink");
    const sink = await folderSink(folder);
    const file = await sink.create("a");
    await file.write(Uint8Array.of(1, 2));
    await file.write(new Uint8Array(0));
    await file.write(Uint8Array.of(3));
    await file.close();
    expect([...(await readFile(join(folder, "a")))]).toEqual([1, 2, 3]);
    const again = await sink.create("a");
    await again.close();
    expect((await stat(join(folder, "a"))).size).toBe(0);

    await writeFile(join(root, "begin"), "begin");
    const source = await openFileSource(join(root, "begin"));
    const copy = await sink.createCopy?.("b", source);
    await copy?.write(new TextEncoder().encode(" and end"));
    await copy?.close();
    await source.close();
    expect(await readFile(join(folder, "b"), "utf8")).toBe("begin and end");
    expect(await readFile(join(root, "begin"), "utf8")).toBe("begin");
    expect(await sink.createCopy?.("c", memorySource(Uint8Array.of(1)))).toBeUndefined();
  });

  test("says where it cannot write", async () => {
    const file = join(root, "a-file");
    await writeFile(file, "");
    await expect(folderSink(join(file, "inner"))).rejects.toMatchObject({
      code: "WRITE_FAILED",
      message: expect.stringMatching(/inner: expected to write here, got ENOTDIR.* Name another folder\.$/),
    });
    const sink = await folderSink(root);
    await expect(sink.create("no/such/folder")).rejects.toMatchObject({ code: "WRITE_FAILED" });
  });
});

describe("a calibration beside a model", () => {
  test("comes with the bundled model, stands in an exported folder, and must be the model's own", async () => {
    const { calibration } = await openModel(BUNDLED_MODELS.speech);
    expect(Object.keys(calibration?.heads ?? {})).toEqual(["ctc", "transducer"]);
    expect((await openModel(BUNDLED_MODELS.vad)).calibration).toBeUndefined();
    const folder = await exported(BUNDLED_MODELS.speech, "calibrated");
    expect((await openModel(folder)).calibration).toBeUndefined();
    const path = join(folder, "calibration.json");
    await writeFile(path, JSON.stringify(calibration));
    expect((await openModel(folder)).calibration).toEqual(calibration);
    await writeFile(path, JSON.stringify({ ...calibration, model: "0".repeat(64) }));
    await expect(openModel(folder)).rejects.toThrow("got one of 0000000000000000. Make it again");
  });
});

test("a checkpoint that asks for a search is decoded greedily, and that is said", async () => {
  const told: string[] = [];
  const options = { onWarning: (text: string) => told.push(text) };
  const usual = await openModel(BUNDLED_MODELS.speech, options);
  expect(told).toEqual([]);
  const folder = join(root, "searching");
  await cp(dirname(fileOf(usual)), folder, { recursive: true });
  const manifest = join(folder, MANIFEST_NAME);
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace('"greedy_batch"', '"malsd_batch"'));
  await openModel(folder, options);
  expect(told).toEqual([
    `${folder}: expected \`decoding.strategy\` greedy or greedy_batch, got malsd_batch, by which NeMo searches. Decoding is greedy here, so that texts can differ from NeMo's.`,
  ]);
});
