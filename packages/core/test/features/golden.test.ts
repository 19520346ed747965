import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { describeModel } from "../../src/config/describe.ts";
import { readFeatureTensors } from "../../src/features/checkpoint-tensors.ts";
import { createFeatureExtractor } from "../../src/features/extractor.ts";

const shared = new URL("../../../../../shared/", import.meta.url);
const goldens = new URL("golden/", shared);

/** The goldens allow 2e-4; float32 sums of NeMo's normalisation are all that is left of it here. */
const TOLERANCE = 1e-5;

const fixtures = existsSync(goldens)
  ? readdirSync(goldens).filter((name) => existsSync(modelFile(name)) && name !== "clips")
  : [];

function modelFile(name: string): URL {
  return name === "vad-frame-tiny"
    ? new URL("model/nemo-stt-vad-tiny.nemo", shared)
    : new URL(`${name}/model.nemo`, goldens);
}

/** Samples of a canonical 16-bit WAV file. */
function readClip(name: string): Float32Array {
  const bytes = readFileSync(new URL(`clips/${name}.wav`, goldens));
  const data = bytes.indexOf("data") + 8;
  return Float32Array.from({ length: (bytes.length - data) >> 1 }, (_, i) => bytes.readInt16LE(data + 2 * i) / 32768);
}

function source(url: URL) {
  return memorySource(new Uint8Array(readFileSync(url)), url.pathname.split("/").pop());
}

describe.skipIf(fixtures.length === 0)("features of the goldens", () => {
  test.each(fixtures)("%s: every clip alone and batched", async (name) => {
    const checkpoint = await openNemo(source(modelFile(name)));
    const spec = describeModel(checkpoint.config, checkpoint.tensors).features;
    const extractor = createFeatureExtractor(spec, await readFeatureTensors(checkpoint, spec));
    const reference = await openSafetensors(source(new URL(`${name}/reference.safetensors`, goldens)));
    const clips = (name.startsWith("vad") ? ["jfk", "rain"] : ["clip0", "clip1", "clip2"]).map(readClip);
    const groups = new Map(clips.map((clip, i) => [`clip${i}`, [clip]]));
    if (!name.startsWith("vad")) groups.set("batch", clips);

    for (const [group, waveforms] of groups) {
      const expected = await reference.readFloat32(`${group}.features`);
      const lengths = await reference.readFloat32(`${group}.features_len`);
      const width = Math.max(...waveforms.map((waveform) => extractor.frameCounts(waveform.length).numFrames));
      expect(expected.length).toBe(waveforms.length * extractor.numMels * width);
      const actual = new Float32Array(expected.length);
      for (const [b, waveform] of waveforms.entries()) {
        const { validFrames } = extractor.extractInto(waveform, actual, b * extractor.numMels * width, width);
        expect(validFrames).toBe(lengths[b]);
      }
      let worst = 0;
      for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - actual[i]));
      expect(worst).toBeLessThan(TOLERANCE);
    }
  });
});
