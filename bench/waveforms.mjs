import { join } from "node:path";
import { openAudio, toModelInput } from "@nemo-stt/node";

const folder = join(import.meta.dirname, "..", "examples", "audio");

/** Twelve recordings of 4 to 16 s, cut from the project's own: 16 kHz, mono. */
export async function benchWaveforms() {
  const sources = [];
  for (const name of ["morning-rms.wav", "garden-slt.wav"]) {
    const audio = await openAudio(join(folder, name));
    sources.push((await toModelInput(audio, 16000))[0]);
    await audio.close();
  }
  const joined = new Float32Array(sources[0].length + sources[1].length);
  joined.set(sources[0]);
  joined.set(sources[1], sources[0].length);
  return [15, 12, 9, 16, 6, 14, 4, 11, 8, 13, 5, 10].map((sec, i) => {
    const length = Math.min(joined.length, sec * 16000);
    const start = Math.min(joined.length - length, i * 7000);
    return joined.slice(start, start + length);
  });
}
