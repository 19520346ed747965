import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import {
  checkStreamable,
  hasStreamMode,
  type ModelPackage,
  openStreamSet,
  SpeechError,
  streamMode,
  streamModes,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openModel } from "@nemo-stt/node";
import type { CapacityFlags } from "../commands/capacity.ts";
import type { Console } from "../console.ts";
import { precisionOf } from "../options.ts";
import { createBabble } from "./babble.ts";
import { type CapacityReport, capacityText, type ModeCapacity } from "./capacity-report.ts";
import { createTrialClock, type Found, findCapacity, runTrial, type TrialParts, warmStream } from "./capacity-trial.ts";
import { now } from "./clock.ts";
import { type Mode, modeText } from "./latency.ts";
import { readWaveform } from "./recordings.ts";

/** Measures how many streams of each mode a core carries, then all cores at once. */
export async function capacity(flags: CapacityFlags, console: Console): Promise<void> {
  const numCores = flags.cores ?? availableParallelism();
  const model = await openModel(flags.model ?? BUNDLED_MODELS.speech, { precision: precisionOf(flags.quantize) });
  if (model.tokenizer) checkStreamable(model.spec, model.name, WITHOUT_CACHES);
  const waveform = flags.audio
    ? await readWaveform(flags.audio, model.spec.sampleRateHz, (text) => console.err(text))
    : createBabble(model.spec.sampleRateHz, BABBLE_SEC);
  const alone = await measureAlone(model, waveform, flags, console);
  const together = numCores > 1 ? await measureTogether(flags, numCores, alone.modes.length, console) : [alone];
  const modes = alone.modes.map((mode, i): ModeCapacity => {
    const inAll = together.reduce((sum, core) => sum + core.modes[i].perCore.streams, 0);
    const isLowerBound = [alone, ...together].some((core) => core.modes[i].isLowerBound);
    return { ...mode, inAll: { cores: numCores, streams: inAll }, ...(isLowerBound && { isLowerBound }) };
  });
  const report: CapacityReport = {
    model: model.name,
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    sound: flags.audio ?? "synthetic babble",
    modes,
    streamBytes: alone.streamBytes,
    processBytes: alone.processBytes,
    wanted: flags.streams,
  };
  console.out(flags.json ? JSON.stringify(report) : capacityText(report));
}

const WITHOUT_CACHES =
  "`nemo-stt stream` hears it in overlapping windows, and tells the processor time for a second of sound.";
const BABBLE_SEC = 20;
/** Caches of all streams lie in one array: this much of it at most. */
const MAX_POOL_BYTES = 2 * 2 ** 30;
/** Every stream of a set may take two places. */
const PLACES_PER_STREAM = 2;

type CoreReport = Pick<CapacityReport, "modes" | "streamBytes" | "processBytes">;

/** Told how far the measurement has come. */
interface Progress {
  /** @param share of all that is to be done; how many trials a search takes is a guess */
  trial(share: number): void;
  mode(measured: ModeCapacity): void;
}

/** This core, with a bar that moves with every trial, or a line a mode where standard error is no terminal. */
async function measureAlone(
  model: ModelPackage,
  waveform: Float32Array,
  flags: CapacityFlags,
  console: Console,
): Promise<CoreReport> {
  const bar = console.progress("measure one core", 1000);
  const progress: Progress = {
    trial: (share) => bar.update(1000 * share),
    mode: ({ attContext, chunkSec, perCore }) => {
      if (!console.terminals?.err) console.err(`${modeText({ attContext, chunkSec })}: ${perCore.streams} on one core`);
    },
  };
  return measureCore(model, waveform, flags, progress).finally(bar.stop);
}

/** A search of a mode ends after so long, on a machine that is slow or busy; on others it is done before. */
const SEARCH_SEC = 20;
/** Sound of one trial that this is meant for. */
const USUAL_SEC = 2;
/** Trials of one search, about. */
const TYPICAL_TRIALS = 16;

/** One core: this thread, with one thread in the runtime. */
async function measureCore(
  model: ModelPackage,
  waveform: Float32Array,
  flags: CapacityFlags,
  progress: Progress,
): Promise<CoreReport> {
  const clock = createTrialClock();
  const { now } = clock;
  const small = await openStreamSet(model, nodeRuntime(), { now, maxStreams: 1 });
  const streamBytes = small.parts.encoder.pool.slotBytes;
  await small.release();
  const limit = Math.max(1, Math.min(flags.limit, Math.floor(MAX_POOL_BYTES / (PLACES_PER_STREAM * streamBytes))));
  const opened = await openStreamSet(model, nodeRuntime(), { now, maxStreams: limit });
  try {
    const modes: ModeCapacity[] = [];
    const chosen = chosenModes(model, flags);
    for (const [i, mode] of chosen.entries()) {
      const endpoint = { silence: "decoder" } as const;
      const options = { attContext: mode.attContext, head: flags.head, endpoint };
      const parts = { opened, clock, mode, options, waveform, sampleRateHz: model.spec.sampleRateHz };
      let numTrials = 0;
      const found = await measureMode(parts, flags.seconds, limit, () => {
        progress.trial((i + Math.min(1, ++numTrials / TYPICAL_TRIALS)) / chosen.length);
      });
      const measured = modeCapacity(mode, found);
      modes.push(measured);
      progress.trial((i + 1) / chosen.length);
      progress.mode(measured);
    }
    return { modes, streamBytes, processBytes: process.memoryUsage.rss() };
  } finally {
    await opened.release();
  }
}

/** Steps that attention looks back on, and some more, in seconds of any model. */
const WARM_SEC = 8;

async function measureMode(parts: TrialParts, seconds: number, limit: number, onTrial: () => void): Promise<Found> {
  const saved = await warmStream(parts, Math.min(WARM_SEC, Math.max(seconds, parts.mode.chunkSec) * 4));
  // What is compiled and allocated at the first batch of a size is not counted.
  await runTrial(parts, 1, 0, saved);
  const end = now() + SEARCH_SEC * Math.max(1, seconds / USUAL_SEC);
  const tryOnce = (numStreams: number) => runTrial(parts, numStreams, seconds, saved).finally(onTrial);
  return findCapacity(tryOnce, limit, () => now() < end);
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

function modeCapacity({ attContext, chunkSec }: Mode, { single, most, isLowerBound }: Found): ModeCapacity {
  return {
    attContext,
    chunkSec,
    single: { p50Sec: single.p50Sec, p99Sec: single.p99Sec, load: single.load },
    perCore: { streams: most.numStreams, p50Sec: most.p50Sec, p99Sec: most.p99Sec, load: most.load },
    inAll: { cores: 1, streams: most.numStreams },
    ...(isLowerBound && { isLowerBound }),
  };
}

/** The same on several cores at once, each a process of its own. */
async function measureTogether(
  flags: CapacityFlags,
  numCores: number,
  numModes: number,
  console: Console,
): Promise<CoreReport[]> {
  const args = ["capacity", "--cores", "1", "--json", "--seconds", `${flags.seconds}`, "--limit", `${flags.limit}`];
  if (flags.model) args.push("--model", flags.model);
  if (flags.attContext) args.push("--att-context", flags.attContext.join(","));
  if (flags.head) args.push("--head", flags.head);
  if (flags.audio) args.push("--audio", flags.audio);
  if (flags.quantize) args.push("--quantize", flags.quantize);
  const bar = console.progress(`measure ${numCores} cores`, numCores * numModes);
  if (!console.terminals?.err) console.err(`measuring ${numCores} cores at once`);
  let numMeasured = 0;
  try {
    return await Promise.all(Array.from({ length: numCores }, () => runOwn(args, () => bar.update(++numMeasured))));
  } finally {
    bar.stop();
  }
}

/** @param onMode told when it has measured a mode: it writes a line */
function runOwn(args: readonly string[], onMode: () => void): Promise<CoreReport> {
  const program = fileURLToPath(new URL("../bin.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (bytes: Buffer) => {
      out += bytes;
    });
    child.stderr.on("data", (bytes: Buffer) => {
      err += bytes;
      for (const character of bytes.toString("latin1")) if (character === "\n") onMode();
    });
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) return resolve(JSON.parse(out) as CoreReport);
      const got = `status ${status} (${err.trim().slice(-200)})`;
      reject(
        new SpeechError("RUNTIME_FAILED", `capacity: expected a process a core, got ${got}. Measure with --cores 1.`),
      );
    });
  });
}
