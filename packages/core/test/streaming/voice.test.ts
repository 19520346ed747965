import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openWav } from "../../src/audio/wav.ts";
import { memorySource } from "../../src/bytes.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { ModelSpec } from "../../src/config/spec.ts";
import { type AcousticModel, openAcousticModel } from "../../src/recognition/acoustic.ts";
import { classifyWindows } from "../../src/recognition/classifier.ts";
import type { ModelPackage } from "../../src/recognition/package.ts";
import { createEnergySource } from "../../src/streaming/voice/energy.ts";
import { createFrameSource } from "../../src/streaming/voice/frames.ts";
import { openVoiceModel } from "../../src/streaming/voice/open.ts";
import type { VoiceSource, VoiceStream } from "../../src/streaming/voice/voice.ts";
import { createWindowSource } from "../../src/streaming/voice/windows.ts";
import { bundled, openExported, recording, testRuntime } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const model = await bundled("vad");
const acoustic = await openAcousticModel(model, await testRuntime());
const classifier = model.spec.heads.classifier as NonNullable<ModelSpec["heads"]["classifier"]>;
afterAll(() => acoustic.close());

const morning = await recording("morning-rms");
const garden = await recording("garden-slt");
const clips = [morning.subarray(0, 70_007), garden.subarray(16_000, 90_000), morning.subarray(40_000, 43_000)];

function taken(stream: VoiceStream): number[] {
  const values: number[] = [];
  for (let p = stream.take(); p !== undefined; p = stream.take()) values.push(p);
  return values;
}

/** Feeds recordings to streams of one source in packets, hearing now and then; gives what is found before and at the end. */
async function listen(source: VoiceSource, waveforms: readonly Float32Array[], packets: readonly number[]) {
  let streams = waveforms.map(() => source.open());
  const found = waveforms.map((): number[] => []);
  const places = waveforms.map(() => 0);
  const take = () => {
    streams.forEach((stream, i) => {
      found[i].push(...taken(stream));
    });
  };
  for (let n = 0; places.some((place, i) => place < waveforms[i].length); n++) {
    const i = n % streams.length;
    const size = packets[n % packets.length];
    streams[i].feed(waveforms[i].subarray(places[i], places[i] + size));
    places[i] += size;
    if (n % 3 === 0) await source.hear(streams);
    if (n === 5) streams = streams.map((stream) => source.open(structuredClone(stream.save())));
    take();
  }
  await source.hear(streams);
  take();
  const settled = found.map((values) => values.length);
  for (const stream of streams) stream.finish();
  await source.hear(streams);
  take();
  return { found, settled };
}

const packets = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 6 });

function expectClose(found: readonly number[], expected: ArrayLike<number>, tolerance: number): void {
  let worst = 0;
  found.forEach((p, i) => {
    worst = Math.max(worst, Math.abs(p - expected[i]));
  });
  expect(worst).toBeLessThan(tolerance);
}

describe("a frame classifier on live sound", () => {
  test("gives the probabilities of the whole recording in any packets, beside any other streams", async () => {
    const source = createFrameSource(model, acoustic, classifier);
    const whole = await Promise.all(clips.map((clip) => classifyWindows(model, acoustic, clip)));
    await fc.assert(
      fc.asyncProperty(packets, async (sizes) => {
        const { found, settled } = await listen(source, clips, sizes);
        found.forEach((values, i) => {
          expect(values).toHaveLength(whole[i].numPositions);
          expectClose(values, whole[i].probability as Float32Array, 1e-4);
          // All but what the convolutions still hear, and the chunk under way, is settled while sound comes.
          const lateSec = source.latencySec + 3 * source.hopSec;
          expect(settled[i] * source.hopSec).toBeGreaterThan(clips[i].length / 16000 - lateSec);
        });
      }),
      propertyRuns(4),
    );
  });

  test("comes early where it is let: close to the whole recording, and the same in any packets", async () => {
    const source = createFrameSource(model, acoustic, classifier, 0.32);
    expect(source.latencySec).toBeLessThan(0.5);
    const whole = await classifyWindows(model, acoustic, clips[0]);
    const { found } = await listen(source, clips, [clips[0].length]);
    expectClose(found[0], whole.probability as Float32Array, 0.2);
    const packed = await listen(source, [clips[2], clips[0]], [777, 12_345]);
    expectClose(packed.found[1], found[0], 1e-5);
  });

  test("is refused where a step depends on the whole recording", () => {
    const features = { ...model.spec.features, normalize: { kind: "per_feature" } } as const;
    const whole: ModelPackage = { ...model, name: "vad.nemo", spec: { ...model.spec, features } };
    expect(() => createFrameSource(whole, acoustic, classifier)).toThrow(
      "vad.nemo: expected a frame classifier whose steps hear a stretch of sound, got features normalised per_feature over the recording. Use another for live sound.",
    );
  });
});

describe("a classifier of windows on live sound", () => {
  test("gives the probabilities of the whole recording in any packets, beside any other streams", async () => {
    // The bundled encoder with a pooled head: the mean over steps.
    const pooled = { ...classifier, kind: "pooled", labels: ["background", "speech"] } as const;
    const spec: ModelSpec = { ...model.spec, heads: { classifier: pooled } };
    const means: AcousticModel = {
      ...acoustic,
      async encode(batch) {
        const { logits, numSteps } = await acoustic.encode(batch);
        const rows = logits as Float32Array;
        const means = batch.lengths.flatMap((_, row) =>
          [0, 1].map((k) => {
            let sum = 0;
            for (let t = 0; t < numSteps; t++) sum += rows[(row * numSteps + t) * 2 + k];
            return sum / numSteps;
          }),
        );
        return { numSteps: 1, lengths: batch.lengths, encoded: new Float32Array(0), logits: Float32Array.from(means) };
      },
    };
    const source = createWindowSource({ ...model, spec }, means, pooled);
    const whole = await Promise.all(clips.map((clip) => classifyWindows({ ...model, spec }, means, clip)));
    await fc.assert(
      fc.asyncProperty(packets, async (sizes) => {
        const { found } = await listen(source, clips, sizes);
        found.forEach((values, i) => {
          expect(values).toHaveLength(whole[i].numPositions);
          expectClose(values, whole[i].probability as Float32Array, 1e-5);
        });
      }),
      propertyRuns(2),
    );
  });
});

const goldens = new URL("../../../../../shared/golden/", import.meta.url);

describe.runIf(existsSync(goldens))("NeMo's own probabilities on live sound", () => {
  test.each(["vad-frame-tiny", "vad-multilingual_marblenet"])("are those of %s", async (name) => {
    const folder = new URL(`${name}/`, goldens);
    const nemo = new URL("model.nemo", folder);
    const source = await openVoiceModel(existsSync(nemo) ? await openExported(nemo) : model, await testRuntime());
    const tensors = await openSafetensors(memorySource(readFileSync(new URL("reference.safetensors", folder)), name));
    const waveforms: Float32Array[] = [];
    for (const file of ["jfk.wav", "rain.wav"]) {
      const wav = await openWav(memorySource(readFileSync(new URL(`clips/${file}`, goldens)), file));
      waveforms.push((await wav.read(0, wav.numSamples))[0]);
    }
    const { found } = await listen(source, waveforms, [1600, 333, 16_000]);
    for (const [i, values] of found.entries()) {
      const expected = await tensors.readFloat32(`clip${i}.speech_probability`);
      expect(values).toHaveLength(expected.length);
      expectClose(values, expected, 1e-3);
    }
    await source.close();
  });
});

describe("openVoiceModel", () => {
  test("refuses models that do not tell speech from other sound", async () => {
    const runtime = await testRuntime();
    const speech = await bundled("speech");
    await expect(openVoiceModel(speech, runtime)).rejects.toThrow(
      "speech: expected a classifier that tells speech from other sound, got EncDecHybridRNNTCTCBPEModel. Use a voice activity model.",
    );
    const words: ModelSpec["heads"] = { classifier: { ...classifier, kind: "pooled", labels: ["yes", "no"] } };
    await expect(openVoiceModel({ ...model, spec: { ...model.spec, heads: words } }, runtime)).rejects.toThrow(
      "expected a classifier that tells speech from other sound, got one of yes, no.",
    );
  });
});

describe("an energy gate", () => {
  /** Noise at one level, with louder stretches. */
  const noisy = (noiseDb: number, loud: readonly (readonly [number, number])[], seconds: number) => {
    let seed = 1;
    const next = () => {
      seed = (seed * 48271) % 2147483647;
      return (2 * seed) / 2147483647 - 1;
    };
    return Float32Array.from({ length: seconds * 16000 }, (_, i) => {
      const isLoud = loud.some(([start, end]) => i / 16000 >= start && i / 16000 < end);
      return next() * Math.sqrt(3) * 10 ** ((noiseDb + (isLoud ? 24 : 0)) / 20);
    });
  };

  test.each([-90, -50, -35])("opens for sound that stands out of noise at %i dB, in any packets", async (noiseDb) => {
    const waveform = noisy(
      noiseDb,
      [
        [3, 4],
        [4.5, 5.2],
      ],
      8,
    );
    const { found } = await listen(createEnergySource(16000), [waveform], [300, 7001]);
    expect(found[0]).toHaveLength(400);
    const isOpen = (sec: number) => found[0][Math.round(sec / 0.02)] >= 0.5;
    const isLoud = noiseDb + 24 > -60;
    for (const sec of [3.1, 3.9, 4.6, 5.1]) expect(isOpen(sec)).toBe(isLoud);
    for (const sec of [2.5, 4.2, 5.3, 7.9]) expect(isOpen(sec)).toBe(false);
  });
});
