import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeSafetensors, MANIFEST_NAME, memorySource, openSafetensors, type Tensor } from "@nemo-stt/core";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { beforeAll, describe, expect, test } from "vitest";
import { examples, garden, lines, run, scratch } from "./harness.ts";

async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const file = await openSafetensors(memorySource(readFileSync(path), path));
  const tensors = new Map<string, Tensor>();
  for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  return tensors;
}

const context = "70,6";
const file = (name: string) => join(scratch, `${name}.safetensors`);
const dump = (name: string, ...flags: string[]) =>
  run("dump", BUNDLED_MODELS.speech, garden, file(name), "--att-context", context, ...flags);

let offline: Map<string, Tensor>;
/** What the convolutions remember in the end, of each run. */
const caches: (Tensor | undefined)[] = [];
beforeAll(async () => {
  await dump("offline");
  offline = await readTensors(file("offline"));
});

const difference = (a: Tensor | undefined, b: Tensor | undefined) => {
  const [left, right] = [a?.data as Float32Array, b?.data as Float32Array];
  return left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i])), 0);
};

describe("dump --stream", () => {
  test.each(["37", "0.0625"])("packets of %s ms: the tensors of the offline pass, every step", async (ms) => {
    const { status, err } = await dump("stream", "--stream", "--packet-ms", ms);
    expect([status, err]).toEqual([0, ""]);
    const streamed = await readTensors(file("stream"));
    const cache = streamed.get("cache_last_time");
    streamed.delete("cache_last_time");
    caches.push(cache);
    expect(cache).toEqual(caches[0]);
    const shapes = (tensors: Map<string, Tensor>) => [...tensors].map(([name, { type, dims }]) => [name, type, dims]);
    expect(shapes(streamed)).toEqual(shapes(offline));
    expect(streamed.get("features")?.data).toEqual(offline.get("features")?.data);
    expect(difference(streamed.get("encoder"), offline.get("encoder"))).toBeLessThan(1e-4);
    expect(difference(streamed.get("log_probs"), offline.get("log_probs"))).toBeLessThan(5e-4);
    for (const name of ["features_len", "encoder_len", "ctc_tokens", "transducer_tokens", "transducer_frames"]) {
      expect(streamed.get(name)?.data, name).toEqual(offline.get(name)?.data);
    }
  });

  test("where padding makes a step, it ends before it, as the help says", async () => {
    const short = file("short").replace(/safetensors$/, "wav");
    // 161 frames of sound, and the column of padding that NeMo's features have, begin a step of their own.
    const header = Buffer.from(readFileSync(garden).subarray(0, 44));
    header.writeUInt32LE(2 * 161 * 160, 40);
    header.writeUInt32LE(2 * 161 * 160 + 36, 4);
    writeFileSync(short, Buffer.concat([header, readFileSync(garden).subarray(32_044, 32_044 + 2 * 161 * 160)]));
    for (const [name, ...flags] of [["short-whole"], ["short-stream", "--stream"]]) {
      await run("dump", BUNDLED_MODELS.speech, short, file(name), "--att-context", context, ...flags);
    }
    const whole = await readTensors(file("short-whole"));
    const streamed = await readTensors(file("short-stream"));
    const numSteps = Number(whole.get("encoder_len")?.data[0]);
    expect(streamed.get("encoder_len")?.data).toEqual(whole.get("encoder_len")?.data);
    for (const name of ["features", "features_len", "ctc_tokens", "transducer_tokens"]) {
      expect(streamed.get(name), name).toEqual(whole.get(name));
    }
    const size = whole.get("encoder")?.dims[1] ?? 0;
    expect(whole.get("encoder")?.dims).toEqual([1, size, numSteps + 1]);
    expect(streamed.get("encoder")?.dims).toEqual([1, size, numSteps]);
    const own = streamed.get("encoder")?.data as Float32Array;
    const theirs = whole.get("encoder")?.data as Float32Array;
    for (let m = 0; m < size; m++) {
      for (let step = 0; step < numSteps; step++) {
        expect(Math.abs(own[m * numSteps + step] - theirs[m * (numSteps + 1) + step])).toBeLessThan(1e-4);
      }
    }
    expect((await run("dump", "--help")).out).toContain("encoder and log_probs end with the last valid step.");
  });

  test("what it cannot do", async () => {
    const refused: [string[], number, RegExp][] = [
      [["--packet-ms", "10"], 64, /--packet-ms: expected it with --stream, got it alone\. Add --stream\./],
      [["--stream", "--packet-ms", "0"], 64, /Expected a number in \[0\.001, 1000000\), got 0\./],
    ];
    for (const [flags, status, message] of refused) {
      const ran = await dump("refused", ...flags);
      expect(ran.err).toMatch(message);
      expect(ran.status).toBe(status);
    }
    const vad = await run("dump", BUNDLED_MODELS.vad, garden, file("vad"), "--stream");
    expect(vad.err).toMatch(/expected a model that writes text, .*\(MODEL_UNSUPPORTED\)/);
    const unknown = await run("dump", BUNDLED_MODELS.speech, garden, file("x"), "--stream", "--att-context", "70,2");
    expect(unknown.err).toMatch(
      /attention context: expected one of \[70,13\] .*, got \[70,2\]\. .*\(MODEL_UNSUPPORTED\)/,
    );
    expect([vad.status, unknown.status]).toEqual([69, 69]);
  });

  test("of a model without caches, what does go: dump without it, stream in windows", async () => {
    const folder = join(scratch, "regular");
    await run("export", BUNDLED_MODELS.speech, folder);
    const manifest = JSON.parse(readFileSync(join(folder, MANIFEST_NAME), "utf8"));
    const { attention } = manifest.spec.encoder;
    Object.assign(attention, { style: "regular", contexts: [{ left: 70, right: 13, weight: 1 }] });
    writeFileSync(join(folder, MANIFEST_NAME), JSON.stringify(manifest));
    const without = `${folder}: expected an encoder that looks ahead no further than its chunk, got attention regular [70,13], which no chunk of a stream contains.`;
    const streamed = await run("dump", folder, garden, file("none"), "--stream");
    expect(streamed.err).toBe(
      `nemo-stt: ${without} Leave out --stream: the whole recording is what such a model hears. \`nemo-stt stream\` hears it in overlapping windows. (MODEL_UNSUPPORTED)\n`,
    );
    const measured = await run("capacity", "-m", folder, "--cores", "1");
    expect(measured.err).toBe(
      `nemo-stt: ${without} \`nemo-stt stream\` hears it in overlapping windows, and tells the processor time for a second of sound. (MODEL_UNSUPPORTED)\n`,
    );
    expect([streamed.status, measured.status]).toEqual([69, 69]);
    expect((await run("dump", folder, garden, file("whole"))).status).toBe(0);
    expect((await run("stream", garden, "-m", folder, "--json")).out).toContain('"method":"windows"');
  });
});

describe("verify of streams", () => {
  /** A reference as NeMo's, from our own offline pass: NeMo's stream has equal steps up to the last but one. */
  function reference(name: string, change: (tensors: Map<string, Tensor>) => void): string {
    const folder = join(scratch, name);
    const encoder = offline.get("encoder") as Tensor;
    const tensors = new Map<string, Tensor>([
      ["stream.70_6.clip0.offline_encoder", { ...encoder, data: encoder.data.slice() }],
      ["stream.70_6.clip0.encoder", { ...encoder, data: encoder.data.slice() }],
    ]);
    change(tensors);
    const numSteps = encoder.dims[2];
    const tokens = (name: string) => Array.from(offline.get(name)?.data as BigInt64Array, Number);
    const clip = {
      offline_steps: numSteps,
      leading_steps_equal_to_offline: numSteps - 1,
      offline: { ctc: tokens("ctc_tokens"), transducer: tokens("transducer_tokens") },
    };
    mkdirSync(folder);
    writeFileSync(join(folder, "reference.safetensors"), encodeSafetensors(tensors));
    const about = { clips: ["garden-slt.wav"] };
    writeFileSync(
      join(folder, "reference.json"),
      JSON.stringify({ about, streaming: { [context]: { clips: [clip] } } }),
    );
    return folder;
  }

  const verify = (folder: string) => run("verify", BUNDLED_MODELS.speech, folder, "--clips", examples);
  const last = (tensor: Tensor | undefined, add: number) => {
    const data = tensor?.data as Float32Array;
    data[data.length - 1] += add;
  };

  test("every step alone and in mixed batches; NeMo's own stream only as far as it is its offline pass", async () => {
    const { status, out } = await verify(reference("streams", (t) => last(t.get("stream.70_6.clip0.encoder"), 1)));
    const shown = lines(out).map((line) => line.slice(0, 36).trimEnd());
    for (const [kind, count] of [
      ["stream", 1],
      ["mixed", 2],
    ] as const) {
      for (const stage of ["steps", "encoder", "log_probs", "tokens", "NeMo tokens", "= NeMo's"]) {
        expect(shown).toContain(`  ok    ${`${kind} ${stage}`.padEnd(22)}  ${count} ×`);
      }
    }
    expect(status).toBe(0);
  });

  test("one number of the last step is enough to fail", async () => {
    const folder = reference("broken-streams", (t) => last(t.get("stream.70_6.clip0.offline_encoder"), 2e-4));
    const { status, out } = await verify(folder);
    expect(out).toMatch(/FAIL {2}stream encoder .*2\.0e-4/);
    expect(out).toContain("stream 70,6 clip0 ctc: 2.0e-4");
    expect(status).toBe(1);
  });
});
