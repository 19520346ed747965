import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { lines, morning, run, scratch } from "./harness.ts";

const bytes = readFileSync(BUNDLED_MODELS.speech);

/** The bundled checkpoint with other text in its place, of the same length. */
function altered(name: string, before: string, after: string): string {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(before);
  expect(at).toBeGreaterThan(0);
  copy.write(after.padEnd(before.length), at);
  const path = join(scratch, name);
  writeFileSync(path, copy);
  return path;
}

describe("inspect", () => {
  test("what the bundled model is", async () => {
    const { status, out, err } = await run("inspect", BUNDLED_MODELS.speech);
    const rows = Object.fromEntries(lines(out).map((line) => [line.slice(0, 14).trim(), line.slice(14)]));
    expect(rows).toMatchObject({
      model: "nemo-stt-en-tiny.nemo",
      class: expect.stringMatching(/^EncDec\w+, saved by NeMo \d+\.\d+/),
      size: expect.stringMatching(/^\d+\.\d MB, \d+ tensors, \d+\.\d\d M parameters$/),
      "stored as": expect.stringMatching(/^\d+ × float/),
      supported: "yes",
      features: expect.stringMatching(/^80 mel, 400\/160 samples at 16000 Hz, normalize \w+$/),
      encoder: expect.stringMatching(
        /^FastConformer \d+ × \d+, \d+ heads, dw_striding ×8 causal, kernel \d+, \w+, \w+$/,
      ),
      step: "80 ms",
      "att contexts": expect.stringMatching(/^(\[\d+,\d+\] )+\(chunked_limited\)$/),
      heads: expect.stringMatching(/^CTC \(\d+ classes\) \+ RNNT \(\d+ tokens, LSTM 1 × \d+\)$/),
      tokenizer: expect.stringMatching(/^(bpe|unigram|sentencepiece)/),
    });
    expect([status, err]).toEqual([0, ""]);
  });

  test("--json and --tensors", async () => {
    const { out } = await run("inspect", BUNDLED_MODELS.vad, "--json", "--tensors");
    const found = JSON.parse(out);
    expect(found).toMatchObject({ className: "EncDecFrameClassificationModel", isSupported: true });
    expect(found.tensors).toHaveLength(found.numTensors);
    expect(found.spec.heads.classifier.kind).toBe("frame");
    const plain = JSON.parse((await run("inspect", BUNDLED_MODELS.vad, "--json")).out);
    expect(plain).not.toHaveProperty("tensors");
    const { out: text } = await run("inspect", BUNDLED_MODELS.vad, "--tensors");
    expect(lines(text).filter((line) => /^\S+ {2}\[[\d, ]*\] {2}\w+$/.test(line))).toHaveLength(found.numTensors);
  });

  test("a model that is not supported: why, by its name", async () => {
    const canary = altered(
      "canary.nemo",
      "hybrid_rnnt_ctc_bpe_models.EncDecHybridRNNTCTCBPEModel",
      "aed_multitask_models.EncDecMultiTaskModel",
    );
    const { status, out } = await run("inspect", canary);
    expect(out).toMatch(/^class +EncDecMultiTaskModel/m);
    expect(out).toMatch(/^supported +no: .*EncDecMultiTaskModel/m);
    expect(status).toBe(0);
    expect(JSON.parse((await run("inspect", canary, "--json")).out)).toMatchObject({ isSupported: false });
    const refused = await run("transcribe", morning, "--model", canary);
    expect(refused.err).toMatch(/EncDecMultiTaskModel.*\(MODEL_UNSUPPORTED\)\n$/);
    expect([refused.status, refused.out]).toEqual([69, ""]);
  });
});

describe("models that cannot be opened", () => {
  beforeAll(() => {
    mkdirSync(join(scratch, "empty"));
    writeFileSync(join(scratch, "text.nemo"), "no model");
    writeFileSync(join(scratch, "truncated.nemo"), bytes.subarray(0, bytes.length / 2));
    writeFileSync(join(scratch, "graph.onnx"), "no graph");
  });

  test.each([
    [
      "missing.nemo",
      66,
      /^nemo-stt: .*missing\.nemo: expected a \.nemo file, an exported folder, an \.onnx file or a pulled model, got nothing of that name\. Check the path\. \(NOT_FOUND\)\n$/,
    ],
    ["empty", 66, /^nemo-stt: .*empty: expected a graph .*, got an empty folder\. .*\(NOT_FOUND\)\n$/],
    [
      "text.nemo",
      65,
      /^nemo-stt: text\.nemo: expected a tar archive, as \.nemo files are, got something else\. .*\(FORMAT_INVALID\)\n$/,
    ],
    ["truncated.nemo", 65, /^nemo-stt: truncated\.nemo: .*truncated.*\(FORMAT_INVALID\)\n$/],
    ["graph.onnx", 66, /^nemo-stt: .*tokens.*\(NOT_FOUND\)\n$/],
  ])("%s: status %i and a sentence", async (name, status, message) => {
    const ran = await run("transcribe", morning, "--model", join(scratch, name));
    expect(ran.err).toMatch(message);
    expect([ran.status, ran.out]).toEqual([status, ""]);
  });

  test("a hub name that was not pulled", async () => {
    const { status, err } = await run("transcribe", morning, "--model", "nvidia/no-such-model");
    expect(err).toContain("Run `nemo-stt pull nvidia/no-such-model` first. (NOT_FOUND)");
    expect(status).toBe(66);
  });

  test("models for another purpose name the command they are for", async () => {
    const classifier = await run("transcribe", morning, "--model", BUNDLED_MODELS.vad);
    expect(classifier.err).toMatch(
      /expected a model that writes text, got EncDecFrameClassificationModel, a classifier\. Use it with `vad`.*\(MODEL_UNSUPPORTED\)/,
    );
    const speech = await run("vad", morning, "--model", BUNDLED_MODELS.speech);
    expect(speech.err).toMatch(
      /expected a classifier, got EncDec\w+, which writes text\. Use `transcribe`\. \(MODEL_UNSUPPORTED\)/,
    );
    expect([classifier.status, speech.status]).toEqual([69, 69]);
  });
});

describe("models", () => {
  test("what is here, and what is known", async () => {
    const { status, out } = await run("models");
    expect(lines(out)[1]).toBe(`  bundled (speech)  ${BUNDLED_MODELS.speech}`);
    expect(out).toMatch(/^ {2}\S+ +supported {6}nemo-stt pull nvidia\/\S+$/m);
    expect(out).toMatch(/^ {2}\S+ +not supported: ./m);
    expect(status).toBe(0);
    const { out: local } = await run("models", "--local");
    expect(lines(local)).toEqual(lines(out).slice(0, 3));
  });

  test("--json", async () => {
    const { local, known } = JSON.parse((await run("models", "--json")).out);
    expect(local.map((model: { path: string }) => model.path)).toEqual(Object.values(BUNDLED_MODELS));
    expect(known.length).toBeGreaterThan(100);
    expect(JSON.parse((await run("models", "--json", "--local")).out)).toEqual({ local });
  });

  test("a pulled model goes by its name", async () => {
    const snapshot = join(scratch, "hub", "hub", "models--nvidia--tiny", "snapshots", "0".repeat(40));
    mkdirSync(snapshot, { recursive: true });
    writeFileSync(join(snapshot, "tiny.nemo"), bytes);
    const { local } = JSON.parse((await run("models", "--json", "--local")).out);
    expect(local[2]).toMatchObject({ name: "nvidia/tiny", path: join(snapshot, "tiny.nemo"), sizeBytes: bytes.length });
    const { status, out } = await run("transcribe", morning, "-m", "nvidia/tiny");
    expect(out).toMatch(/^[a-z' ]{20,}\n$/);
    expect(status).toBe(0);
  });
});

describe("pull", () => {
  test("prints where the model is, for the next command to use", async () => {
    const folder = join(scratch, "hub", "hub", "models--nvidia--here");
    const commit = "1".repeat(40);
    mkdirSync(join(folder, "snapshots", commit), { recursive: true });
    writeFileSync(join(folder, "snapshots", commit, "here.nemo"), "weights");
    const path = join(folder, "snapshots", commit, "here.nemo");
    expect(await run("pull", "nvidia/here", "--revision", commit)).toMatchObject({
      status: 0,
      out: `${path}\n`,
      err: "",
    });
    const { out } = await run("pull", "nvidia/here", "--revision", commit, "--json");
    expect(JSON.parse(out)).toEqual({ name: "nvidia/here", path, sizeBytes: 7, revision: commit });
  });

  test("a name that the hub cannot have, and a model that is not here without a network", async () => {
    const name = await run("pull", "../../etc/passwd");
    expect(name.err).toMatch(/expected a model's name on the hub, .*\(NOT_FOUND\)\n$/);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const offline = await run("pull", "nvidia/elsewhere");
    vi.unstubAllEnvs();
    expect(offline.err).toMatch(/as HF_HUB_OFFLINE is set, got nothing\. .*\(NETWORK_FAILED\)\n$/);
    expect([name.status, offline.status, name.out + offline.out]).toEqual([66, 69, ""]);
  });
});
