import type { SpeechEngine } from "@nemo-stt/core";

/** A latency mode as engines list them. */
export type Mode = SpeechEngine["modes"][number];

/**
 * The mode whose chunk has a time, else the one that looks so far ahead (which is what NVIDIA calls its modes by), else
 * the one whose chunk is nearest; of two as near the shorter, of two as long the one listed first.
 */
export function nearestMode(modes: readonly Mode[], sec: number): Mode {
  const exact = modes.find((mode) => isSame(mode.chunkSec, sec)) ?? modes.find((mode) => isSame(aheadSec(mode), sec));
  if (exact) return exact;
  const byDistance = [...modes].sort(
    (a, b) => Math.abs(a.chunkSec - sec) - Math.abs(b.chunkSec - sec) || a.chunkSec - b.chunkSec,
  );
  return byDistance[0];
}

/** Times that differ by less are the same: they are sums of hops of a hundredth of a second. */
const SAME_SEC = 1e-6;

const isSame = (a: number, b: number): boolean => Math.abs(a - b) < SAME_SEC;

/** The part of a chunk that its first step looks ahead. */
function aheadSec({ attContext, chunkSec }: Mode): number {
  const right = attContext.at(-1) ?? 0;
  return (chunkSec * right) / (right + 1);
}

/** What is said of a time that no mode has: which one it is instead, and which there are. */
export function latencyNote(modes: readonly Mode[], chosen: Mode, sec: number): string | undefined {
  if (isSame(chosen.chunkSec, sec) || isSame(aheadSec(chosen), sec)) return undefined;
  const all = modes.map(modeText).join(", ");
  return `--latency ${msText(sec)}: no mode has it; the nearest is ${modeText(chosen)}. The model has ${all}.`;
}

/** What is said where streams cannot have the context that `transcribe` uses, so that texts need not be the same. */
export function contextNote({
  modes,
  defaultContext,
}: Pick<SpeechEngine, "modes" | "defaultContext">): string | undefined {
  const isListed = modes.some(({ attContext }) => `${attContext}` === `${defaultContext}`);
  if (isListed) return undefined;
  const [first] = modes;
  return `attention context [${defaultContext}], the model's default: looks ahead beyond any chunk, so the stream is in [${first.attContext}], as \`transcribe --att-context ${first.attContext}\`. With --chunk it goes in windows, in [${defaultContext}].`;
}

/** `[70,13] 1120 ms`; of windows with what they hear behind their chunk. */
export function modeText({ attContext, chunkSec, latencySec = chunkSec }: Mode): string {
  const behind = latencySec > chunkSec ? ` and ${msText(latencySec - chunkSec)} behind` : "";
  return `[${attContext.join(",")}] ${msText(chunkSec)}${behind}`;
}

/** Seconds as milliseconds, without those that nobody set. */
export const msText = (sec: number): string => `${Number((sec * 1000).toFixed(3))} ms`;
