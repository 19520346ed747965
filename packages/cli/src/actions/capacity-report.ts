import { modeText, msText } from "./latency.ts";

/** How long results take: from the sound that completes a chunk. */
interface StepLatency {
  readonly p50Sec: number;
  readonly p99Sec: number;
  /** The part of the time in which the core worked. */
  readonly load: number;
}

/** What was measured of one latency mode. */
export interface ModeCapacity {
  readonly attContext: readonly number[];
  readonly chunkSec: number;
  /** One stream alone. */
  readonly single: StepLatency;
  /** The most streams that one core carries, while the others are idle. */
  readonly perCore: StepLatency & { readonly streams: number };
  /** The most streams that the cores carry that work at once. */
  readonly inAll: { readonly cores: number; readonly streams: number };
  /** By how much trials contradicted each other, as a part of the number: fewer were not carried, or on another core. */
  readonly spread: number;
  /** More may be carried: a search ended by its time. */
  readonly isLowerBound?: true;
}

/** What `capacity` measures. */
export interface CapacityReport {
  readonly model: string;
  readonly cpu: string;
  readonly sound: string;
  readonly modes: readonly ModeCapacity[];
  /** What the encoder remembers of one stream. */
  readonly streamBytes: number;
  /** A process with the model, after the measurement. */
  readonly processBytes: number;
  /** How many streams the user reckons with. */
  readonly wanted: number;
}

/** From so much on the machine, or chance, has a part in the numbers. */
const MUCH_SPREAD = 0.15;
const SPREAD_NOTE =
  "Trials contradict each other: the machine has other things to do, or --seconds are few. Measure again.";

/** The report for people: a table, and what it means for a number of streams. */
export function capacityText({ model, cpu, sound, modes, streamBytes, wanted }: CapacityReport): string {
  const [first] = modes;
  const ms = (sec: number) => msText(Number(sec.toPrecision(2)));
  const latency = ({ p50Sec, p99Sec }: StepLatency) => `${ms(p50Sec)} / ${ms(p99Sec)}`;
  const numCores = first?.inAll.cores ?? 1;
  const rows = [
    [
      "mode",
      "one stream, p50 / p99",
      "streams a core",
      "p50 / p99 there",
      `streams on ${coresText(numCores)}`,
      "trials differ by",
    ],
    ...modes.map((mode) => [
      modeText(mode),
      latency(mode.single),
      `${mode.perCore.streams}`,
      mode.perCore.streams > 0 ? latency(mode.perCore) : "",
      `${mode.inAll.streams}${mode.isLowerBound ? " or more" : ""}`,
      `${Math.round(100 * mode.spread)} %`,
    ]),
  ];
  const memory = `${((wanted * streamBytes) / 2 ** 20).toFixed(0)} MiB`;
  return [
    `${model} on ${cpu}, hearing ${sound}`,
    ...table(rows),
    ...(modes.some(({ isLowerBound }) => isLowerBound) ? ["or more: the search ended by its time."] : []),
    ...(modes.some(({ spread }) => spread > MUCH_SPREAD) ? [SPREAD_NOTE] : []),
    "",
    `${wanted} streams:`,
    ...modes.map((mode) => `  ${coresFor(mode, wanted)}`),
    `  and ${memory} for what they remember (${(streamBytes / 2 ** 20).toFixed(2)} MiB each).`,
  ].join("\n");
}

/** `[70,0] 80 ms: 100 / (90 / 2 cores) = 2.2, so 3 cores`. */
function coresFor(mode: ModeCapacity, wanted: number): string {
  const { streams, cores } = mode.inAll;
  if (streams === 0) return `${modeText(mode)}: not one stream is carried here`;
  const needed = (wanted * cores) / streams;
  return `${modeText(mode)}: ${wanted} / (${streams} / ${coresText(cores)}) = ${needed.toFixed(2)}, so ${coresText(Math.ceil(needed))}`;
}

const coresText = (count: number): string => (count === 1 ? "1 core" : `${count} cores`);

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join("  ")
      .trimEnd(),
  );
}
