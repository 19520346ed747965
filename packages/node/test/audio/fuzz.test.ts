import { readFileSync } from "node:fs";
import { describe } from "vitest";
import { fuzz } from "../../../core/test/fuzz/fuzz.ts";
import { oggChecksum } from "../../src/audio/ogg-pages.ts";
import { openAudio } from "../../src/index.ts";
import { fixturePath } from "./fixtures.ts";

const recording = (name: string) => new Uint8Array(readFileSync(fixturePath(name)));
/** An hour of samples of what some kilobytes can hold is a bomb. */
const MAX_SAMPLES = 3600 * 48_000;

async function decode(bytes: Uint8Array): Promise<void> {
  const audio = await openAudio(bytes, { ffmpeg: "no-such-program" });
  try {
    let numSamples = 0;
    for await (const block of audio.blocks()) {
      numSamples += block[0].length;
      if (block.length !== audio.numChannels)
        throw new Error(`${block.length} channels instead of ${audio.numChannels}`);
      if (numSamples > MAX_SAMPLES) throw new Error("samples without end");
    }
  } finally {
    await audio.close();
  }
}

/** Makes the checksums of Ogg pages right, so that mutations reach the codecs. */
function repairOgg(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 27 <= bytes.length; at++) {
    if (view.getUint32(at) !== 0x4f676753) continue;
    const segmentsEnd = at + 27 + bytes[at + 26];
    const end = bytes.subarray(at + 27, segmentsEnd).reduce((sum, size) => sum + size, segmentsEnd);
    if (end > bytes.length) continue;
    view.setUint32(at + 22, oggChecksum(bytes.subarray(at, end)), true);
  }
  return bytes;
}

describe("fuzz", () => {
  const names = [
    "speech.wav",
    "ramp24.flac",
    "speech.mp3",
    "mono-24k.mp3",
    "speech.webm",
    "speech.ogg",
    "speech.opus",
    "speech.oga",
  ];
  fuzz("recordings", names.map(recording), decode, { repair: repairOgg });
});
