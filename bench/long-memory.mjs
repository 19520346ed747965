// Peak resident memory of `nemo-stt transcribe` on long recordings, each in a process of its own, as a table row each.
//   npm run build && node bench/long-memory.mjs [--model MODEL.nemo] [--minutes 30,60,120] [--cli bin.js]
// The sound is the two bundled recordings in turn; it is written to a temporary folder and removed again.
import { execFileSync } from "node:child_process";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    model: { type: "string" },
    minutes: { type: "string", default: "30,60,120" },
    cli: { type: "string", default: join(import.meta.dirname, "../packages/cli/dist/bin.js") },
  },
});
const HEADER_BYTES = 44;
const BYTES_PER_MINUTE = 60 * 16000 * 2;

/** Writes so many minutes of 16 kHz sound. */
async function writeRecording(path, minutes) {
  const audio = join(import.meta.dirname, "../examples/audio");
  const parts = await Promise.all(["morning-rms", "garden-slt"].map((name) => readFile(join(audio, `${name}.wav`))));
  const sound = Buffer.concat(parts.map((part) => part.subarray(HEADER_BYTES)));
  const numBytes = Math.round(minutes * BYTES_PER_MINUTE);
  const header = Buffer.from(parts[0].subarray(0, HEADER_BYTES));
  header.writeUInt32LE(HEADER_BYTES - 8 + numBytes, 4);
  header.writeUInt32LE(numBytes, HEADER_BYTES - 4);
  const file = await open(path, "w");
  await file.write(header);
  for (let left = numBytes; left > 0; left -= sound.length) await file.write(sound.subarray(0, left));
  await file.close();
}

/** Transcribes it in a process of its own. */
function measure(path) {
  const probe = join(import.meta.dirname, "peak-memory.mjs");
  const model = options.model ? ["--model", options.model] : [];
  const args = ["--import", probe, resolve(options.cli), "transcribe", ...model, path, "--format", "json"];
  const start = performance.now();
  const out = execFileSync(process.execPath, args, {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return {
    wallSec: (performance.now() - start) / 1000,
    method: JSON.parse(out.split("\n", 1)[0]).channels?.[0]?.longForm ?? /"longForm":"([\w-]+)"/.exec(out)?.[1],
    peakBytes: Number(/peakBytes (\d+)/.exec(out)?.[1]),
  };
}

const folder = await mkdtemp(join(tmpdir(), "nemo-stt-long-"));
try {
  console.log("| minutes | method | peak resident memory | wall time |\n|---|---|---|---|");
  for (const minutes of options.minutes.split(",").map(Number)) {
    const path = join(folder, `${minutes}.wav`);
    await writeRecording(path, minutes);
    const { method, peakBytes, wallSec } = measure(path);
    await rm(path);
    console.log(`| ${minutes} | ${method} | ${(peakBytes / 1e6).toFixed(0)} MB | ${wallSec.toFixed(0)} s |`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
