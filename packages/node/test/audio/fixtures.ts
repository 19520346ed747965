import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { encodeSamples } from "@nemo-stt/core";
import { type AudioOptions, openAudio } from "../../src/index.ts";

/** The path of a recording in `fixtures/`. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
}

/** The bytes of a recording, free to be changed. */
export async function fixtureBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(fixturePath(name)));
}

/** Everything that `openAudio` gives of an input. */
export async function decodeAll(input: string | Uint8Array, options?: AudioOptions) {
  const audio = await openAudio(input, options);
  try {
    const channels = await audio.channels();
    const { format, sampleRateHz, numChannels, durationSec, warnings } = audio;
    return { format, sampleRateHz, numChannels, durationSec, warnings, channels };
  } finally {
    await audio.close();
  }
}

/** The largest difference of two recordings' samples; infinite where their shapes differ. */
export function largestDifference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  a.forEach((channel, c) => {
    if (channel.length !== b[c].length) largest = Number.POSITIVE_INFINITY;
    channel.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - b[c][i]));
    });
  });
  return largest;
}

/** One byte string after another. */
export function joinBytes(...parts: readonly (Uint8Array | string)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part))),
  );
}

/** A WAV file of 32-bit floats, whatever their values. */
export function floatWav(channels: readonly Float32Array[], sampleRateHz: number): Uint8Array<ArrayBuffer> {
  const data = encodeSamples(channels, "f32le");
  const format = new DataView(new ArrayBuffer(16));
  format.setUint16(0, 3, true); // IEEE float
  format.setUint16(2, channels.length, true);
  format.setUint32(4, sampleRateHz, true);
  format.setUint32(8, sampleRateHz * channels.length * 4, true);
  format.setUint16(12, channels.length * 4, true);
  format.setUint16(14, 32, true);
  const chunk = (id: string, content: Uint8Array) => {
    const size = new DataView(new ArrayBuffer(4));
    size.setUint32(0, content.length, true);
    return joinBytes(id, new Uint8Array(size.buffer), content);
  };
  return chunk("RIFF", joinBytes("WAVE", chunk("fmt ", new Uint8Array(format.buffer)), chunk("data", data)));
}
