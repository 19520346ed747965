import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUNDLED_MODELS, openFileSource, readOnnxMetadata } from "@nemo-stt/node";
import { beforeAll, describe, expect, test } from "vitest";
import { checkIncrease } from "../src/actions/precision-comparison.ts";
import { examples, garden, lines, morning, run, scratch } from "./harness.ts";

const checkpoint = BUNDLED_MODELS.speech;
const out = (name: string) => join(scratch, "exports", name);
const textFrom = async (model: string, ...options: string[]) =>
  (await run("transcribe", morning, "--model", model, ...options)).out;

let text: string;
let ctcText: string;
beforeAll(async () => {
  text = await textFrom(checkpoint);
  ctcText = await textFrom(checkpoint, "--head", "ctc");
});

describe("export: layouts", () => {
  test.each([
    [
      "nemo-stt",
      [
        "conformer_hybrid.onnx",
        "prediction.onnx",
        "joint.onnx",
        "streaming.onnx",
        "features.safetensors",
        "tokenizer.txt",
        "manifest.json",
        "tokens.txt",
      ],
    ],
    [
      "nemo",
      [
        "model.onnx",
        "encoder-model.onnx",
        "decoder_joint-model.onnx",
        "features.safetensors",
        "tokenizer.txt",
        "tokens.txt",
      ],
    ],
    [
      "sherpa",
      [
        "model.onnx",
        "encoder.onnx",
        "decoder.onnx",
        "joiner.onnx",
        "features.safetensors",
        "tokenizer.txt",
        "tokens.txt",
      ],
    ],
  ])("--layout %s: its files, listed with their sizes, give the checkpoint's text", async (layout, names) => {
    const folder = out(layout);
    const ran = await run("export", checkpoint, folder, "--layout", layout);
    expect(ran).toMatchObject({ status: 0, err: "", bars: ["export nemo-stt-en-tiny.nemo"] });
    expect(lines(ran.out)).toEqual(
      names.map((name) => `${join(folder, name)}  ${statSync(join(folder, name)).size} bytes`),
    );
    expect(readdirSync(folder).sort()).toEqual([...names].sort());
    expect(await textFrom(folder)).toBe(text);
    expect(await textFrom(join(folder, names[0]), "--head", "ctc")).toBe(ctcText);
  });

  test("--layout sherpa --att-context L,R: also the graphs that sherpa-onnx streams from", async () => {
    const folder = out("sherpa-streaming");
    const options = ["--layout", "sherpa", "--att-context", "70,6", "--json"];
    const { files } = JSON.parse((await run("export", checkpoint, folder, ...options)).out);
    expect(files.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["encoder.onnx", "streaming-model.onnx", "streaming-encoder.onnx", "decoder.onnx"]),
    );
    expect(readdirSync(folder)).toHaveLength(files.length);
    const source = await openFileSource(join(folder, "streaming-encoder.onnx"));
    expect(await readOnnxMetadata(source)).toMatchObject({
      window_size: "65",
      chunk_shift: "56",
      cache_last_channel_dim1: "12",
      cache_last_channel_dim2: "70",
      cache_last_channel_dim3: "176",
      cache_last_time_dim1: "12",
      cache_last_time_dim2: "176",
      cache_last_time_dim3: "8",
      subsampling_factor: "8",
      vocab_size: "128",
      pred_rnn_layers: "1",
      pred_hidden: "256",
      normalize_type: "",
    });
    await source.close();
    expect(await textFrom(folder)).not.toBe("");
    const named = await run("transcribe", morning, "--model", join(folder, "streaming-encoder.onnx"));
    expect(named.err).toContain("got a streaming export");
  });

  test("a head that the exported graph does not have", async () => {
    const { status, err } = await run(
      "transcribe",
      morning,
      "-m",
      join(out("nemo"), "model.onnx"),
      "--head",
      "transducer",
    );
    expect(err).toMatch(
      /^nemo-stt: .*: expected head ctc, got transducer\. Choose a head the model has\. \(MODEL_UNSUPPORTED\)\n$/,
    );
    expect(status).toBe(69);
  });

  test("OUT/NAME.onnx names the graph; --verbose shows inputs and outputs", async () => {
    const named = join(out("named"), "speech.onnx");
    const { out: listed } = await run("export", checkpoint, named, "--verbose");
    expect(lines(listed).slice(0, 8)).toEqual([
      `${named}  ${statSync(named).size} bytes`,
      "  in   audio_signal float32 [batch, 80, frame]",
      "  in   length int64 [batch]",
      "  in   att_context int64 [2]",
      expect.stringMatching(/^ {2}out {2}encoded float32 \[batch, \d+, step\]$/),
      "  out  encoded_lengths int64 [batch]",
      expect.stringMatching(/^ {2}out {2}log_probs float32 \[batch, step, \d+\]$/),
      expect.stringMatching(/^ {2}out {2}encoder_projected float32 \[batch, step, \d+\]$/),
    ]);
    expect(await textFrom(named)).toBe(text);
  });

  test("a graph beside another model's description is not taken for that model", async () => {
    const other = join(out("named"), "other.onnx");
    copyFileSync(join(out("named"), "joint.onnx"), other);
    const { status, err } = await run("transcribe", morning, "--model", other);
    expect(err).toBe(
      `nemo-stt: ${other}: expected a graph that manifest.json beside it names (speech.onnx, prediction.onnx, joint.onnx, streaming.onnx), got another. Export each model to a folder of its own. (NOT_FOUND)\n`,
    );
    expect(status).toBe(66);
  });

  test("--json lists files, inputs and outputs", async () => {
    const { out: json } = await run("export", BUNDLED_MODELS.vad, out("vad"), "--json");
    const listed = JSON.parse(json);
    expect(listed.folder).toBe(out("vad"));
    expect(listed.files[0]).toMatchObject({
      name: "convasr_classifier.onnx",
      inputs: ["audio_signal float32 [batch, 80, frame]", "length int64 [batch]"],
    });
    expect(listed.files[0].sizeBytes).toBe(statSync(join(out("vad"), "convasr_classifier.onnx")).size);
    expect(listed).not.toHaveProperty("comparison");
  });
});

describe("export: smaller weights", () => {
  const row = String.raw`\d+\.\d\d %\s+\d+\.\d\d %\s+\d+\.\d\d %   \d+ of \d+ words differ`;

  test("int8: a third of the size, and what it does to the texts", async () => {
    const ran = await run("export", checkpoint, out("int8"), "--quantize", "int8", "--json");
    expect(lines(ran.err).slice(0, 2)).toEqual([
      "Word error rate of int8 weights on 2 recordings (manifest.jsonl):",
      expect.stringMatching(/^head +fp32 +int8 +int8 - fp32$/),
    ]);
    expect(ran.err).toMatch(new RegExp(`^transducer +${row}$`, "m"));
    expect(ran.err).toMatch(new RegExp(`^ctc +${row}$`, "m"));
    const size = (name: string) => statSync(join(out(name), "conformer_hybrid.onnx")).size;
    expect(size("int8")).toBeLessThan(0.4 * size("nemo-stt"));
    expect(readdirSync(out("int8"))).not.toContain(".partial");

    const { comparison } = JSON.parse(ran.out);
    expect(comparison).toMatchObject({ kind: "int8", manifest: "manifest.jsonl", numRecordings: 2 });
    const { out: evaluated } = await run("eval", join(examples, "manifest.jsonl"), "--json", "-m", out("int8"));
    expect(comparison.heads[0]).toMatchObject({ head: "transducer", small: JSON.parse(evaluated).words });
  });

  test("--calibrate: other recordings; other layouts are measured as they are, not as ours", async () => {
    const manifest = join(scratch, "dev.jsonl");
    const entry = (path: string) => `${JSON.stringify({ audio_filepath: path, text: "she opened the window" })}\n`;
    writeFileSync(manifest, entry(garden) + entry("missing.wav"));
    // A folder that has a description of ours already must not answer for the new files.
    const target = join(out("int8"), "speech.onnx");
    const { spec } = JSON.parse((await run("inspect", checkpoint, "--json")).out);
    const { left, right } = spec.encoder.attention.contexts.at(-1);
    const options = ["--quantize", "fp16", "--layout", "nemo", "--json", "--calibrate", manifest];
    options.push("--att-context", `${left},${right}`);
    const ran = await run("export", checkpoint, target, ...options);
    expect(ran.err).toContain(`nemo-stt: ${join(scratch, "missing.wav")}: expected`);
    expect(ran.err).toContain("Word error rate of fp16 weights on 1 recording (dev.jsonl):");
    const { files, comparison } = JSON.parse(ran.out);
    expect(files[0].name).toBe("speech.onnx");
    expect(comparison.heads.map((row: { head: string }) => row.head)).toEqual(["transducer", "ctc"]);
    expect(comparison.heads[0].fp32.numReference).toBe(4);
    const alone = join(scratch, "exports", "alone");
    mkdirSync(alone);
    for (const { name } of files) copyFileSync(join(out("int8"), name), join(alone, name));
    const { out: evaluated } = await run("eval", manifest, "--json", "-m", alone, "--head", "ctc");
    expect(comparison.heads[1].small).toEqual(JSON.parse(evaluated).words);
    expect(ran.status).toBe(0);
  });

  test("--max-wer-increase: measured in every latency mode too, and written where it holds", async () => {
    const manifest = join(scratch, "one.jsonl");
    writeFileSync(manifest, `${JSON.stringify({ audio_filepath: morning, text: "he said that he would come" })}\n`);
    const options = ["--quantize", "int8", "--calibrate", manifest, "--max-wer-increase", "60", "--json"];
    const ran = await run("export", checkpoint, out("gated"), ...options);
    expect(ran.status).toBe(0);
    for (const name of ["transducer", "ctc", "transducer 1120 ms", "transducer 80 ms", "ctc 160 ms"])
      expect(ran.err).toMatch(new RegExp(`^${name} +${row}$`, "m"));
    const { comparison } = JSON.parse(ran.out);
    expect(comparison.streams).toHaveLength(8);
    expect(comparison.streams[0]).toMatchObject({ head: "transducer", stream: { attContext: [70, 13] } });
    expect(existsSync(join(out("gated"), "streaming.onnx"))).toBe(true);
  }, 180_000);

  test("--max-wer-increase: refused with the table where nothing can be measured, and nothing is left behind", async () => {
    const manifest = join(scratch, "wordless.jsonl");
    writeFileSync(manifest, `${JSON.stringify({ audio_filepath: garden, text: "" })}\n`);
    const options = ["--quantize", "int8", "--calibrate", manifest, "--max-wer-increase", "0.2"];
    const ran = await run("export", checkpoint, join(out("refused"), "deep"), ...options);
    expect(ran.err).toContain("Word error rate of int8 weights on 1 recording (wordless.jsonl):");
    expect(lines(ran.err).at(-1)).toBe(
      "nemo-stt: --max-wer-increase: expected recordings with words to measure int8 on, got none. Nothing was written. Name others with --calibrate.",
    );
    expect(ran.status).toBe(1);
    expect(existsSync(out("refused"))).toBe(false);
    expect((await run("export", checkpoint, out("refused"), "--max-wer-increase", "0.2")).status).toBe(64);
  });

  test("--max-wer-increase: the worst of all rows decides", () => {
    const rate = (errors: number) => ({
      substitutions: errors,
      deletions: 0,
      insertions: 0,
      numReference: 1000,
      rate: errors / 1000,
    });
    const compared = (head: "ctc" | "transducer", fp32: number, small: number, chunkSec?: number) => ({
      head,
      fp32: rate(fp32),
      small: rate(small),
      smallAgainstFp32: rate(5),
      differences: [],
      ...(chunkSec && { stream: { attContext: [70, 1], chunkSec } }),
    });
    const heads = [compared("ctc", 50, 51), compared("transducer", 40, 39)];
    const streams = [compared("ctc", 60, 62, 0.16), compared("ctc", 70, 70, 0.08)];
    const comparison = { kind: "int8", manifest: "dev.jsonl", numRecordings: 9, heads, streams };
    expect(() => checkIncrease(comparison, 0.2)).not.toThrow();
    expect(() => checkIncrease(comparison, 0.15)).toThrow(
      "--max-wer-increase: expected int8 weights to cost at most 0.15 % of the words, got 0.20 % (ctc 160 ms). Nothing was written. Allow more, or take fp16 weights.",
    );
  });

  test("classifiers write no texts to compare", async () => {
    const { err } = await run("export", BUNDLED_MODELS.vad, out("vad8"), "--quantize", "int8");
    expect(err).toBe("No texts compared: the model is a classifier.\n");
  });
});

describe("export: what goes wrong", () => {
  test.each([
    [
      ["--att-context", "70,0"],
      "--att-context: expected layout nemo or sherpa, got nemo-stt, whose graphs take the context as an input. Leave it out.",
    ],
    [["--calibrate", "dev.jsonl"], "--calibrate: expected --quantize with it, got none. Add it, or leave both out."],
  ])("options that do not go together: %j", async (options, message) => {
    const { status, err } = await run("export", checkpoint, out("wrong"), ...options);
    expect(err).toBe(`nemo-stt: ${message}\n`);
    expect(status).toBe(64);
    expect(existsSync(out("wrong"))).toBe(false);
  });

  test.each(["nemo", "sherpa"])("layout %s: a context that the model was not trained with", async (layout) => {
    const options = ["--layout", layout, "--att-context", "70,99"];
    const { status, err } = await run("export", checkpoint, out("wrong"), ...options);
    expect(err).toMatch(
      /^nemo-stt: attention context: expected one of \[.*, got \[70,99\]\. .*\(MODEL_UNSUPPORTED\)\n$/,
    );
    expect([status, existsSync(join(out("wrong"), "tokens.txt"))]).toEqual([69, false]);
  });

  test("what an interrupted export left is not in the way", async () => {
    mkdirSync(join(out("again"), ".partial"), { recursive: true });
    writeFileSync(join(out("again"), ".partial", "model.onnx"), "half");
    writeFileSync(join(out("again"), "notes.txt"), "mine");
    expect((await run("export", BUNDLED_MODELS.vad, out("again"))).status).toBe(0);
    expect(readdirSync(out("again")).sort()).toEqual([
      "convasr_classifier.onnx",
      "features.safetensors",
      "manifest.json",
      "notes.txt",
    ]);
    expect(readFileSync(join(out("again"), "notes.txt"), "utf8")).toBe("mine");
  });

  test("a file where the folder should be", async () => {
    const file = join(scratch, "a-file");
    writeFileSync(file, "mine");
    const { status, err } = await run("export", BUNDLED_MODELS.vad, file);
    expect(err).toMatch(/expected to write here, got E.*\(WRITE_FAILED\)\n$/);
    expect([status, readFileSync(file, "utf8")]).toEqual([73, "mine"]);
  });

  test("a model that is exported already", async () => {
    const folder = out("again");
    const { status, err } = await run("export", folder, out("wrong"));
    expect(err).toBe(
      `nemo-stt: ${folder}: expected a checkpoint, got a model that is exported already. Give the .nemo file that it was made from. (FORMAT_UNSUPPORTED)\n`,
    );
    expect(status).toBe(65);
  });
});
