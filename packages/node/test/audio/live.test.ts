import { readFileSync } from "node:fs";
import { encodeSamples, encodeWav } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { openAudio, openLiveAudio } from "../../src/index.ts";

const sound = Float32Array.from({ length: 4000 }, (_, i) => Math.sin(i / 9) / 2);
const wav = encodeWav([sound, sound], { sampleRateHz: 8000, encoding: "s16le" });
const recording = readFileSync(new URL("../../../../examples/audio/call-ulaw-8k.wav", import.meta.url));

/** Pieces of some bytes, and how many were asked for. */
function pieces(bytes: Uint8Array, size: number) {
  const counts = { taken: 0, isClosed: false };
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < bytes.length; at += size, counts.taken++) yield bytes.subarray(at, at + size);
    } finally {
      counts.isClosed = true;
    }
  }
  return { counts, sound: all() };
}

describe("openLiveAudio", () => {
  test.each([1, 7, 50_000])("WAV in pieces of %d bytes: what openAudio gives", async (size) => {
    const bytes = recording.subarray(0, 20_000);
    const file = await openAudio(bytes);
    const live = await openLiveAudio(pieces(bytes, size).sound, { name: "pipe" });
    expect(live).toMatchObject({ name: "pipe", format: "WAV", sampleRateHz: 8000, numChannels: 2 });
    expect(await live.channels()).toEqual(await file.channels());
    expect(live.warnings).toEqual(file.warnings);
  });

  test("hands sound out as it comes, and lets go of the input", async () => {
    const { counts, sound: input } = pieces(wav, 500);
    const live = await openLiveAudio(input);
    const blocks = live.blocks();
    const first = await blocks.next();
    expect(first.value?.[0].length).toBeGreaterThan(0);
    expect(counts.taken).toBeLessThan(3);
    await live.close();
    expect(counts.isClosed).toBe(true);
  });

  test("samples without a header: as they are told to be, or as usual with a warning", async () => {
    const raw = encodeSamples([sound], "s16be");
    const told = await openLiveAudio(pieces(raw, 333).sound, { raw: { encoding: "s16be", sampleRateHz: 8000 } });
    expect(told).toMatchObject({ format: "s16be without a header", sampleRateHz: 8000, numChannels: 1 });
    expect((await told.channels())[0]).toEqual(
      (await openAudio(raw, { raw: { encoding: "s16be" } }).then((a) => a.channels()))[0],
    );
    const usual = await openLiveAudio(pieces(encodeSamples([sound], "s16le").subarray(1), 100).sound);
    expect((await usual.channels())[0]).toHaveLength(3999);
    expect(usual.warnings).toEqual([
      "It has no header that is known and was read as samples of 16 bits, 16,000 Hz, mono.",
      "It ends inside a sample: its last 1 bytes were left out.",
    ]);
    // A header counts more than what was told.
    const wavAsRaw = await openLiveAudio(pieces(wav, 100).sound, { raw: { encoding: "ulaw" } });
    expect(wavAsRaw.format).toBe("WAV");
  });

  test("other formats are read to their end first, and that is said", async () => {
    const flac = readFileSync(new URL("./fixtures/speech.flac", import.meta.url));
    const live = await openLiveAudio(pieces(flac, 1000).sound);
    expect(live.format).toBe("FLAC");
    expect(live.warnings[0]).toBe("Its format cannot be read as it comes: it was read to its end first.");
    await live.close();
  });

  test("nothing, text, and a header without samples end in an error", async () => {
    const open = (bytes: Uint8Array) => openLiveAudio(pieces(bytes, 10).sound).then((audio) => audio.channels());
    await expect(open(new Uint8Array(0))).rejects.toThrow("standard input: expected a recording, got an empty file.");
    await expect(open(Buffer.from("some text that is no sound at all, and more"))).rejects.toThrow("got text");
    await expect(open(wav.subarray(0, 30))).rejects.toThrow(
      "standard input: expected a format chunk (`fmt `), got none.",
    );
    const one = openLiveAudio(pieces(Uint8Array.of(1), 1).sound, { raw: {} }).then((audio) => audio.channels());
    await expect(one).rejects.toThrow("standard input: expected samples, got 1 bytes. Check what writes them.");
  });
});
