import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeSafetensors, memorySource, openSafetensors, type Tensor } from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel } from "@nemo-stt/node";
import { beforeAll, describe, expect, test } from "vitest";
import { examples, jsonLines, lines, morning, run, scratch } from "./harness.ts";

async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const file = await openSafetensors(memorySource(readFileSync(path), path));
  const tensors = new Map<string, Tensor>();
  for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  return tensors;
}

/** Name, type and shape of every line that `dump` prints. */
const listed = (out: string) =>
  lines(out).map((line) => {
    const [name, type, dims] = line.split(/ {2,}/);
    return [name, type, JSON.parse(dims)];
  });

const numbers = (tensor: Tensor | undefined) => Array.from(tensor?.data as BigInt64Array, Number);
const dumpFile = join(scratch, "stages", "morning.safetensors");
let stages: Map<string, Tensor>;
let dumped: Awaited<ReturnType<typeof run>>;
beforeAll(async () => {
  dumped = await run("dump", BUNDLED_MODELS.speech, morning, dumpFile);
  stages = await readTensors(dumpFile);
});

describe("dump", () => {
  test("names, types and shapes of a hybrid's stages", async () => {
    const { spec, close } = await loadModel();
    await close();
    const [mel, model] = [spec.features.numMels, spec.encoder.kind === "conformer" ? spec.encoder.modelSize : 0];
    const vocabulary = spec.heads.transducer?.vocabularySize ?? 0;
    const [frames] = numbers(stages.get("features_len"));
    const [steps] = numbers(stages.get("encoder_len"));
    const width = stages.get("encoder")?.dims[2] ?? 0;
    const numTokens = stages.get("transducer_tokens")?.dims[0];
    expect(listed(dumped.out)).toEqual([
      ["features", "float32", [1, mel, stages.get("features")?.dims[2]]],
      ["features_len", "int64", [1]],
      ["encoder", "float32", [1, model, width]],
      ["encoder_len", "int64", [1]],
      ["log_probs", "float32", [1, width, vocabulary + 1]],
      ["ctc_tokens", "int64", [stages.get("ctc_tokens")?.dims[0]]],
      ["transducer_tokens", "int64", [numTokens]],
      ["transducer_frames", "int64", [numTokens]],
    ]);
    expect(frames).toBe(Math.floor(124_480 / 160));
    expect(steps).toBeGreaterThan(frames / 8 - 2);
    expect(width).toBeGreaterThanOrEqual(steps);
  });

  test("log-probabilities are some, and lead to the tokens", () => {
    const { data, dims } = stages.get("log_probs") as Tensor;
    const width = dims[2];
    const [steps] = numbers(stages.get("encoder_len"));
    const found: number[] = [];
    let previous = width - 1;
    for (let step = 0; step < steps; step++) {
      const row = (data as Float32Array).subarray(step * width, (step + 1) * width);
      expect(row.reduce((sum, p) => sum + Math.exp(p), 0)).toBeCloseTo(1, 4);
      const best = row.indexOf(Math.max(...row));
      if (best !== previous && best !== width - 1) found.push(best);
      previous = best;
    }
    expect(numbers(stages.get("ctc_tokens"))).toEqual(found);
  });

  test("prints what it wrote, and nothing else", () => {
    const printed = new Map(listed(dumped.out).map(([name, ...rest]) => [name, rest]));
    expect(printed).toEqual(new Map([...stages].map(([name, { type, dims }]) => [name, [type, dims]])));
    expect([dumped.status, dumped.err]).toEqual([0, ""]);
  });

  test("a classifier: logits, and a probability of speech a step", async () => {
    const path = join(scratch, "vad.safetensors");
    const { out } = await run("dump", BUNDLED_MODELS.vad, morning, path, "--json");
    const tensors = await readTensors(path);
    const rows: { name: string; type: string; dims: number[] }[] = JSON.parse(out);
    expect(rows.map(({ name }) => name)).toEqual([
      "features",
      "features_len",
      "encoder",
      "encoder_len",
      "logits",
      "speech_probability",
    ]);
    const steps = tensors.get("encoder")?.dims[2];
    expect(tensors.get("logits")?.dims).toEqual([1, steps, 2]);
    expect(tensors.get("speech_probability")?.dims).toEqual([1, steps]);
    expect(rows.map(({ type, dims }) => [type, dims])).toEqual(
      rows.map(({ name }) => [tensors.get(name)?.type, tensors.get(name)?.dims]),
    );
  });

  test("a place that cannot be written", async () => {
    const { status, err } = await run("dump", BUNDLED_MODELS.vad, morning, join(dumpFile, "x.safetensors"));
    expect(err).toMatch(/expected to write here, got E.*\(WRITE_FAILED\)\n$/);
    expect(status).toBe(73);
  });
});

describe("verify", () => {
  const facts = () => ({
    about: { clips: ["morning-rms.wav"] },
    clip0: {
      ctc: [{ tokens: numbers(stages.get("ctc_tokens")) }],
      transducer: [
        { tokens: numbers(stages.get("transducer_tokens")), frames: numbers(stages.get("transducer_frames")) },
      ],
    },
  });

  function reference(
    name: string,
    change: (tensors: Map<string, Tensor>, facts_: ReturnType<typeof facts>) => void,
  ): string {
    const folder = join(scratch, name);
    const tensors = new Map(
      [...stages].map(([key, tensor]) => [`clip0.${key}`, { ...tensor, data: tensor.data.slice() }]),
    );
    const own = facts();
    change(tensors as Map<string, Tensor>, own);
    mkdirSync(folder);
    writeFileSync(join(folder, "reference.safetensors"), encodeSafetensors(tensors as Map<string, Tensor>));
    writeFileSync(join(folder, "reference.json"), JSON.stringify(own));
    return folder;
  }

  test("a reference from the same model holds, stage by stage", async () => {
    const folder = reference("same", () => {});
    const { status, out, err } = await run("verify", BUNDLED_MODELS.speech, folder, "--clips", examples);
    expect(lines(out)).toEqual([
      "same",
      "  ok    features                1 ×  0.0e+0  tolerance 2e-4  margin exact",
      "  ok    features_len            1 ×  identical",
      "  ok    encoder                 1 ×  0.0e+0  tolerance 1e-4  margin exact",
      "  ok    encoder_len             1 ×  identical",
      "  ok    log_probs               1 ×  0.0e+0  tolerance 5e-4  margin exact",
      "  ok    ctc tokens              1 ×  identical",
      "  ok    transducer tokens       1 ×  identical",
      "  ok    transducer frames       1 ×  identical",
    ]);
    expect([status, err]).toEqual([0, "1 fixture, all comparisons hold.\n"]);
    // The folder of both says as much as model and folder.
    copyFileSync(BUNDLED_MODELS.speech, join(folder, "model.nemo"));
    expect(await run("verify", folder, "--clips", examples)).toMatchObject({ status, out, err });
    // An exported folder with its reference is the model itself, whatever lies beside.
    const exported = join(scratch, "exported");
    await run("export", BUNDLED_MODELS.speech, exported, "--quantize", "int8");
    for (const name of ["reference.json", "reference.safetensors", "model.nemo"]) {
      copyFileSync(join(folder, name), join(exported, name));
    }
    const asFolder = await run("verify", exported, "--clips", examples);
    expect(asFolder).toEqual(await run("verify", exported, exported, "--clips", examples));
    expect(asFolder.status).toBe(1);
  });

  test("a broken one names stages and differences, and ends in status 1", async () => {
    const folder = reference("broken", (tensors, own) => {
      const { data } = tensors.get("clip0.log_probs") as Tensor;
      data[7] = Number(data[7]) + 0.25;
      own.clip0.ctc[0].tokens[1] += 1;
    });
    const { status, out, err } = await run("verify", BUNDLED_MODELS.speech, folder, "--clips", examples);
    expect(lines(out).filter((line) => line.includes("FAIL"))).toEqual([
      "  FAIL  log_probs               1 ×  2.5e-1  tolerance 5e-4  margin 0.002 ×",
      "  FAIL  ctc tokens              1 ×  different",
    ]);
    expect(out).toContain("        clip0: 2.5e-1\n");
    expect([status, err]).toEqual([1, "nemo-stt: 2 comparisons do not hold.\n"]);
  });

  test("a reference with nothing in it is no success", async () => {
    const folder = reference("nothing", (tensors, own) => {
      tensors.clear();
      Object.assign(own, { clip0: {} });
    });
    const { status, err } = await run("verify", BUNDLED_MODELS.vad, folder, "--clips", examples);
    expect(err).toMatch(
      /nothing: expected something to compare with, got no tensor or text of a known name\. .*\(VERIFY_FAILED\)/,
    );
    expect(status).toBe(1);
  });

  test("no reference, a bad one, no fixtures", async () => {
    const folder = join(scratch, "none");
    mkdirSync(folder);
    expect((await run("verify", BUNDLED_MODELS.vad, folder)).err).toMatch(
      /reference\.json: expected a reference, got nothing of that name\. Check the path\. \(NOT_FOUND\)/,
    );
    writeFileSync(join(folder, "reference.json"), "half {");
    expect((await run("verify", BUNDLED_MODELS.vad, folder)).err).toMatch(
      /reference\.json: expected a JSON object, got other text\. .*\(FORMAT_INVALID\)/,
    );
    const { status, err } = await run("verify", folder, "--all");
    expect(err).toMatch(/expected folders with model\.nemo and reference\.json, got none\. .*\(NOT_FOUND\)/);
    expect(status).toBe(66);
  });

  test("recordings are those of the folder that the reference names; Python's NaN is read", async () => {
    const folder = reference("named", (_, own) => {
      Object.assign(own.about, { clips_folder: "own-clips" });
      Object.assign(own.clip0.ctc[0], { margin: "NaN here" });
    });
    const path = join(folder, "reference.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"NaN here"', "NaN"));
    mkdirSync(join(scratch, "own-clips"));
    copyFileSync(morning, join(scratch, "own-clips", "morning-rms.wav"));
    const { status, err } = await run("verify", BUNDLED_MODELS.speech, folder, "--clips", join(scratch, "nowhere"));
    expect([status, err]).toEqual([0, "1 fixture, all comparisons hold.\n"]);
  });

  test("--all: one that cannot be compared counts, and keeps no other from it", async () => {
    const folder = join(scratch, "mixed");
    for (const name of ["a-broken", "b-good"]) mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "a-broken", "model.nemo"), "no checkpoint");
    writeFileSync(join(folder, "a-broken", "reference.json"), "{}");
    writeFileSync(
      join(folder, "b-good", "reference.safetensors"),
      readFileSync(join(scratch, "same", "reference.safetensors")),
    );
    writeFileSync(
      join(folder, "b-good", "reference.json"),
      JSON.stringify({ ...facts(), model: BUNDLED_MODELS.speech }),
    );
    const { status, out, err } = await run("verify", folder, "--all", "--clips", examples);
    expect(out).toMatch(/^b-good\n {2}ok {4}features/);
    expect(err).toMatch(/^a-broken: .*\(FORMAT_INVALID\)\nnemo-stt: 1 comparisons do not hold\.\n$/);
    expect(status).toBe(1);
  });

  test("--all: every fixture of a folder", async () => {
    const path = join(scratch, "all", "vad-frame-tiny");
    mkdirSync(path, { recursive: true });
    const dump = join(scratch, "fixture.safetensors");
    await run("dump", BUNDLED_MODELS.vad, morning, dump);
    const tensors = new Map([...(await readTensors(dump))].map(([name, tensor]) => [`clip0.${name}`, tensor]));
    writeFileSync(join(path, "reference.safetensors"), encodeSafetensors(tensors));
    writeFileSync(join(path, "reference.json"), JSON.stringify({ clips: [{ file: "morning-rms.wav" }] }));
    const { status, out } = await run("verify", join(scratch, "all"), "--all", "--clips", examples);
    expect(out).toMatch(/^vad-frame-tiny\n {2}ok .*speech_probability/s);
    expect(status).toBe(0);
    const { out: json } = await run("verify", join(scratch, "all"), "--all", "--clips", examples, "--json");
    const checks = jsonLines(json);
    expect(checks.at(-1)).toMatchObject({ fixture: "vad-frame-tiny", where: "clip0", isOk: true });
    expect(checks.map(({ stage }) => stage)).toContain("speech_probability");
  });
});
