import { type BatchReport, busySec, type LatencyMode, type StepCost } from "@nemo-stt/core";

/**
 * The share of a thread's time that may be taken: what remains carries streams whose chunks come at once, other
 * programs, and threads that take over the streams of one that died.
 */
export const MAX_LOAD = 0.8;

/** How quickly what batches really cost replaces what was measured before: over some fifty batches. */
const LEARNING_RATE = 0.02;
/** A measurement is never believed to be further off than this, either way. */
const MAX_CORRECTION = 16;

/** A mode that reads a stream: its attention context tells which. */
export type LaneMode = Pick<LatencyMode, "attContext">;

/** What a mode costs does not depend on how far it looks back: any less than the checkpoint's may be asked for. */
const costKey = ({ attContext: [, ...ahead] }: LaneMode): string => ahead.join(",");

/** What the streams of one thread cost, by latency mode: measured at the start, and corrected by every batch. */
export class ThreadLoad {
  readonly #costs = new Map<string, StepCost>();
  readonly #numLanes = new Map<string, number>();
  /** What batches really cost, for 1 that was measured. */
  #correction = 1;

  setCosts(costs: readonly StepCost[]): void {
    for (const cost of costs) this.#costs.set(costKey(cost), cost);
    this.#correction = 1;
  }

  add(lanes: readonly LaneMode[], count: 1 | -1): void {
    for (const key of lanes.map(costKey)) this.#numLanes.set(key, (this.#numLanes.get(key) ?? 0) + count);
  }

  /** Learns from a batch. */
  observe(report: BatchReport): void {
    const { modes } = report;
    const costs = modes.map((mode) => this.#costs.get(costKey(mode))).filter((cost) => cost !== undefined);
    if (costs.length < modes.length) return;
    const expected =
      Math.max(...costs.map((cost) => cost.batchSec)) + costs.reduce((sum, cost) => sum + cost.rowSec, 0);
    if (!(expected > 0)) return;
    const ratio = Math.min(MAX_CORRECTION, busySec(report) / expected);
    this.#correction += LEARNING_RATE * (ratio - this.#correction);
  }

  /**
   * The share of the thread's time that its streams take, with those of a further one; 0 where nothing was measured.
   * Batches fill up before time runs out, so full ones are reckoned with.
   */
  with(lanes: readonly LaneMode[] = []): number {
    let load = 0;
    for (const [key, { batchSec, rowSec, maxRows, chunkSec }] of this.#costs) {
      const added = lanes.filter((lane) => costKey(lane) === key).length;
      const numRows = (this.#numLanes.get(key) ?? 0) + added;
      load += (Math.ceil(numRows / maxRows) * batchSec + numRows * rowSec) / chunkSec;
    }
    return load * this.#correction;
  }
}
