import { classifyWindows, openAcousticModel, speechSegments } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openModel } from "@nemo-stt/node";
import { type Command, InvalidArgumentError } from "commander";
import { listRecordings, readWaveform } from "../audio-files.ts";
import type { Console } from "../console.ts";

interface VadFlags {
  readonly model: string;
  readonly json?: boolean;
  readonly probabilities?: boolean;
  readonly onset: number;
  readonly offset: number;
  readonly minSpeech: number;
  readonly minSilence: number;
}

/** `nemo-stt vad FILES…`. */
export function registerVad(program: Command, console: Console): void {
  program
    .command("vad")
    .description("Find speech in recordings, or classify them (speech commands) with a NeMo classifier.")
    .argument("<audio...>", "recordings or folders")
    .option("-m, --model <model>", "a window or frame classifier", BUNDLED_MODELS.vad)
    .option("--onset <p>", "probability at which speech begins", share, 0.5)
    .option("--offset <p>", "probability below which it ends", share, 0.35)
    .option("--min-speech <sec>", "shorter speech is dropped", seconds, 0.06)
    .option("--min-silence <sec>", "shorter gaps are closed", seconds, 0.3)
    .option("--probabilities", "with --json: the probability at every position too")
    .option("--json", "one JSON object a recording")
    .action(async (paths: string[], flags: VadFlags) => {
      const model = await openModel(flags.model);
      const acoustic = await openAcousticModel(model, nodeRuntime());
      try {
        const files = await listRecordings(paths);
        for (const file of files) {
          const waveform = await readWaveform(file, model.spec.sampleRateHz);
          console.out(vadText(file, await classifyWindows(model, acoustic, waveform), flags, files.length > 1));
        }
      } finally {
        await acoustic.close();
      }
    });
}

function vadText(
  file: string,
  result: Awaited<ReturnType<typeof classifyWindows>>,
  flags: VadFlags,
  isOneOfMany: boolean,
): string {
  const { probability, labels, hopSec, windowSec } = result;
  if (!probability) {
    const best = meanClasses(result);
    if (flags.json) return JSON.stringify({ file, labels, mean: best.map(({ label, mean }) => ({ label, mean })) });
    return `${isOneOfMany ? `${file}: ` : ""}${best
      .slice(0, 3)
      .map(({ label, mean }) => `${label} ${mean.toFixed(3)}`)
      .join("  ")}`;
  }
  const segments = speechSegments(probability, hopSec, {
    onset: flags.onset,
    offset: flags.offset,
    minSpeechSec: flags.minSpeech,
    minSilenceSec: flags.minSilence,
    windowSec,
  });
  if (flags.json) {
    const detail = flags.probabilities ? { probability: Array.from(probability, (p) => Number(p.toFixed(4))) } : {};
    return JSON.stringify({ file, hopSec, windowSec, speech: segments, ...detail });
  }
  const rows = segments.map(({ startSec, endSec }) => `${startSec.toFixed(2)}\t${endSec.toFixed(2)}`);
  const lines = isOneOfMany ? rows.map((row) => `${file}\t${row}`) : rows;
  return lines.length > 0 ? lines.join("\n") : `${isOneOfMany ? `${file}: ` : ""}no speech`;
}

/** Mean probability of every class over all positions, best first. */
function meanClasses({ labels, probabilities, numPositions }: Awaited<ReturnType<typeof classifyWindows>>) {
  const numClasses = probabilities.length / Math.max(1, numPositions);
  return labels
    .map((label, c) => {
      let sum = 0;
      for (let i = 0; i < numPositions; i++) sum += probabilities[i * numClasses + c];
      return { label, mean: numPositions > 0 ? sum / numPositions : 0 };
    })
    .sort((a, b) => b.mean - a.mean);
}

function share(text: string): number {
  const value = Number(text);
  if (value > 0 && value < 1) return value;
  throw new InvalidArgumentError(`expected a probability between 0 and 1, got ${text}.`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (value >= 0 && value < 3600) return value;
  throw new InvalidArgumentError(`expected seconds from 0 up, got ${text}.`);
}
