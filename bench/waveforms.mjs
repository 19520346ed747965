import { join } from "node:path";
import { openAudio, toModelInput } from "@nemo-stt/node";

const folder = join(import.meta.dirname, "..", "examples", "audio");

/** The project's two recordings one after the other. */
async function joinedRecordings() {
  const sources = [];
  for (const name of ["morning-rms.wav", "garden-slt.wav"]) {
    const audio = await openAudio(join(folder, name));
    sources.push((await toModelInput(audio, 16000))[0]);
    await audio.close();
  }
  const joined = new Float32Array(sources[0].length + sources[1].length);
  joined.set(sources[0]);
  joined.set(sources[1], sources[0].length);
  return joined;
}

/** Speech without an end for any number of streams: `(stream, start, count)` samples, each stream at another place. */
export async function loopedAudio() {
  const joined = await joinedRecordings();
  return (stream, start, count) => {
    const samples = new Float32Array(count);
    let at = (stream * 12_347 + start) % joined.length;
    for (let done = 0; done < count; at = 0) {
      const part = joined.subarray(at, at + count - done);
      samples.set(part, done);
      done += part.length;
    }
    return samples;
  };
}

/** Twelve recordings of 4 to 16 s, cut from the project's own: 16 kHz, mono. */
export async function benchWaveforms() {
  const joined = await joinedRecordings();
  return [15, 12, 9, 16, 6, 14, 4, 11, 8, 13, 5, 10].map((sec, i) => {
    const length = Math.min(joined.length, sec * 16000);
    const start = Math.min(joined.length - length, i * 7000);
    return joined.slice(start, start + length);
  });
}
