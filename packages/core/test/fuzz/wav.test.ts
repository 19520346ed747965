import { describe } from "vitest";
import { openWav } from "../../src/audio/wav.ts";
import { encodeWav } from "../../src/audio/wav-writer.ts";
import { countingSource } from "./counting-source.ts";
import { fuzz } from "./fuzz.ts";

const channels = [Float32Array.from({ length: 50 }, (_, i) => Math.sin(i)), new Float32Array(50).fill(0.25)];
const plain = encodeWav(channels, { sampleRateHz: 16000, encoding: "s16le" });
const muLaw = encodeWav(channels.slice(0, 1), { sampleRateHz: 8000, encoding: "ulaw" });

/** The same samples behind a `ds64` chunk and an extensible format. */
function large(): Uint8Array {
  const data = plain.subarray(44);
  const bytes = new Uint8Array(12 + 36 + 48 + 8 + data.length);
  const view = new DataView(bytes.buffer);
  const chunk = (at: number, id: string, sizeBytes: number) => {
    for (let i = 0; i < 4; i++) bytes[at + i] = id.charCodeAt(i);
    view.setUint32(at + 4, sizeBytes, true);
  };
  chunk(0, "RF64", 0xffffffff);
  chunk(8, "WAVE", 0);
  chunk(12, "ds64", 28);
  view.setBigUint64(28, BigInt(data.length), true);
  chunk(48, "fmt ", 40);
  bytes.set(plain.subarray(20, 36), 56);
  view.setUint16(56, 0xfffe, true);
  bytes.set([22, 0, 16, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71], 72);
  chunk(96, "data", 0xffffffff);
  bytes.set(data, 104);
  return bytes;
}

describe("fuzz", () => {
  fuzz("WAV", [plain, muLaw, large()], async (bytes) => {
    const wav = await openWav(countingSource(bytes));
    await wav.read(0, wav.numSamples);
  });
});
