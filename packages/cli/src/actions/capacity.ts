import { availableParallelism, cpus } from "node:os";
import {
  checkStreamable,
  hasStreamMode,
  type ModelPackage,
  SpeechError,
  streamCacheBytes,
  streamMode,
  streamModes,
  textTokenizer,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, openModel } from "@nemo-stt/node";
import type { CapacityFlags } from "../commands/capacity.ts";
import type { Console } from "../console.ts";
import { UsageError } from "../failures.ts";
import { precisionOf } from "../options.ts";
import { createBabble } from "./babble.ts";
import { type CoreFound, type CoreTask, openCore } from "./capacity-core.ts";
import { type CapacityReport, capacityText, type ModeCapacity } from "./capacity-report.ts";
import { openTogether } from "./capacity-together.ts";
import type { Trial } from "./capacity-trial.ts";
import { type Mode, modeText } from "./latency.ts";
import { readWaveform } from "./recordings.ts";

/** Measures how many streams of each mode a core carries, then all cores at once. */
export async function capacity(flags: CapacityFlags, console: Console): Promise<void> {
  const numCores = checkedCores(flags.cores);
  const path = flags.model ?? BUNDLED_MODELS.speech;
  const model = await openModel(path, { precision: precisionOf(flags.quantize) });
  textTokenizer(model);
  checkStreamable(model.spec, model.name, WITHOUT_CACHES);
  const waveform = flags.audio
    ? await readWaveform(flags.audio, model.spec.sampleRateHz, (text) => console.err(text))
    : createBabble(model.spec.sampleRateHz, BABBLE_SEC);
  if (waveform.length === 0) {
    throw new SpeechError("AUDIO_INVALID", `${flags.audio}: expected sound, got none. Name another recording.`);
  }
  const modes = chosenModes(model, flags);
  const streamBytes = streamCacheBytes(model.spec);
  const places = Math.floor(MAX_POOL_BYTES / (PLACES_PER_STREAM * streamBytes));
  const limit = Math.max(1, Math.min(flags.limit, places));
  const { head, seconds } = flags;
  const task = { head, seconds, waveform, limit };
  const alone = await measureAlone(model, task, modes, console);
  const processBytes = process.memoryUsage.rss();
  const together =
    numCores > 1
      ? await measureTogether(path, flags, task, alone, numCores, console)
      : alone.map((mode) => [mode.found]);
  const report: CapacityReport = {
    model: model.name,
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    sound: flags.audio ?? "synthetic babble",
    modes: alone.map((mode, i) => modeCapacity(mode, together[i], numCores)),
    streamBytes,
    processBytes,
    wanted: flags.streams,
  };
  console.out(flags.json ? JSON.stringify(report) : capacityText(report));
}

function checkedCores(wanted: number | undefined): number {
  const available = availableParallelism();
  if (wanted === undefined || wanted <= available) return wanted ?? available;
  throw new UsageError(
    `--cores: expected 1 to ${available}, which this machine has, got ${wanted}. Leave it out for all.`,
  );
}

const WITHOUT_CACHES =
  "`nemo-stt stream` hears it in overlapping windows, and tells the processor time for a second of sound.";
const BABBLE_SEC = 20;
/** Caches of all streams lie in one array: this much of it at most. */
const MAX_POOL_BYTES = 2 * 2 ** 30;
/** Every stream of a set may take two places. */
const PLACES_PER_STREAM = 2;
/** Trials of one search, about. */
const TYPICAL_TRIALS = 6;

/** A mode on one core, while the others are idle. */
interface AloneFound {
  readonly mode: Mode;
  readonly saved: Uint8Array;
  readonly found: CoreFound & { readonly single: Trial };
}

/** This core, with a bar that moves with every trial, or a line a mode where standard error is no terminal. */
async function measureAlone(
  model: ModelPackage,
  task: CoreTask,
  modes: readonly Mode[],
  console: Console,
): Promise<AloneFound[]> {
  const bar = console.progress("measure one core", 1000);
  const core = await openCore(model, task);
  try {
    const measured: AloneFound[] = [];
    const saved = await core.warm(modes);
    for (const [i, mode] of modes.entries()) {
      let numTrials = 0;
      const onTrial = () => bar.update((1000 * (i + Math.min(1, ++numTrials / TYPICAL_TRIALS))) / modes.length);
      const found = await core.find(mode, saved[i], onTrial);
      measured.push({ mode, saved: saved[i], found });
      bar.update((1000 * (i + 1)) / modes.length);
      if (!console.terminals?.err) console.err(`${modeText(mode)}: ${found.most?.numStreams ?? 0} on one core`);
    }
    return measured;
  } finally {
    bar.stop();
    await core.close();
  }
}

function chosenModes({ spec }: ModelPackage, { attContext }: CapacityFlags): Mode[] {
  const modes = streamModes(spec);
  if (!attContext) return modes;
  if (hasStreamMode(spec, attContext)) return [streamMode(spec, attContext as [number, number])];
  const list = modes.map((known) => `[${known.attContext}]`).join(" ");
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `attention context: expected one of ${list}, for a stream, or fewer steps back, got [${attContext}]. Choose one of these.`,
  );
}

/** What each of several cores carries of each mode while all work: from what one carries alone downwards. */
async function measureTogether(
  model: string,
  { quantize }: CapacityFlags,
  task: CoreTask,
  alone: readonly AloneFound[],
  numCores: number,
  console: Console,
): Promise<CoreFound[][]> {
  const numbers = alone.map(({ found }) => found.most?.numStreams ?? 0);
  if (Math.max(...numbers) === 0) return numbers.map(() => []);
  const bar = console.progress(`measure ${numCores} cores`, numbers.length);
  if (!console.terminals?.err) console.err(`measuring ${numCores} cores at once`);
  try {
    const limited = { ...task, limit: Math.max(...numbers) };
    const cores = await openTogether(numCores, { model, precision: precisionOf(quantize), task: limited });
    const all: CoreFound[][] = [];
    for (const [i, { mode, saved, found }] of alone.entries()) {
      const near = { streams: numbers[i], singleSec: found.single.p50Sec };
      all.push(near.streams > 0 ? await cores.find({ mode, saved, near }) : []);
      bar.update(i + 1);
    }
    cores.close();
    return all;
  } finally {
    bar.stop();
  }
}

function modeCapacity({ mode, found }: AloneFound, together: readonly CoreFound[], cores: number): ModeCapacity {
  const { attContext, chunkSec } = mode;
  const { single, most } = found;
  const { p50Sec, p99Sec, load, numStreams } = most ?? { ...single, numStreams: 0 };
  const numbers = together.map((core) => core.most?.numStreams ?? 0);
  const greatest = Math.max(0, ...numbers);
  // Cores are alike: what one carries and another does not is chance, too.
  const betweenCores = greatest > 0 ? (greatest - Math.min(...numbers)) / greatest : 0;
  return {
    attContext,
    chunkSec,
    single: { p50Sec: single.p50Sec, p99Sec: single.p99Sec, load: single.load },
    perCore: { streams: numStreams, p50Sec, p99Sec, load },
    inAll: { cores, streams: numbers.reduce((sum, number) => sum + number, 0) },
    spread: Math.max(betweenCores, ...together.map(({ spread }) => spread)),
    ...([found, ...together].some(({ isLowerBound }) => isLowerBound) && { isLowerBound: true as const }),
  };
}
