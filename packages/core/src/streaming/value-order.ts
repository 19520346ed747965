import { SUMMED_STEPS } from "../architectures/conformer/streaming-inputs.ts";
import { int32, type Tensor } from "../tensor.ts";
import type { StreamChunk } from "./stream-encoder.ts";

/** A group of places as the chunks from one on see it, until the next variant of the same group. */
interface GroupVariant {
  /** Ring `0 … ring - 1` and new steps `ring …` at its places. */
  readonly keys: readonly number[];
  readonly firstStep: number;
  readonly endStep: number;
}

/**
 * The order in which values are summed up where a stream has several chunks, see `StreamingInputs.valueOrder`: groups of
 * the ring's places, each followed by what it is for later chunks, at whose beginning newer steps stand at its places.
 * Int32 `[3, batch, ordered]`, without any where every stream has one chunk.
 */
export function valueOrder(chunks: readonly StreamChunk[], ringSteps: number): Tensor {
  if (chunks.every(({ numSteps, mode }) => numSteps <= mode.chunkSteps)) {
    return int32(new Int32Array(0), [3, chunks.length, 0]);
  }
  const rows = chunks.map((chunk) => variantsOf(chunk, ringSteps));
  const width = SUMMED_STEPS * Math.max(...rows.map((variants) => variants.length));
  // What fills a row up is seen by no step.
  const order = new Int32Array(3 * chunks.length * width);
  const part = (i: number, row: number) => order.subarray((i * chunks.length + row) * width);
  for (const [row, variants] of rows.entries()) {
    const [keys, first, end] = [part(0, row), part(1, row), part(2, row)];
    variants.forEach((variant, i) => {
      keys.set(variant.keys, i * SUMMED_STEPS);
      first.fill(variant.firstStep, i * SUMMED_STEPS, (i + 1) * SUMMED_STEPS);
      end.fill(variant.endStep, i * SUMMED_STEPS, (i + 1) * SUMMED_STEPS);
    });
  }
  return int32(order, [3, chunks.length, width]);
}

function variantsOf({ slot, numSteps, mode: { chunkSteps } }: StreamChunk, ringSteps: number): GroupVariant[] {
  const variants: GroupVariant[] = [];
  for (let place = 0; place < ringSteps; place += SUMMED_STEPS) {
    let keys = Array.from({ length: SUMMED_STEPS }, (_, i) => place + i);
    let firstStep = 0;
    for (let begin = chunkSteps; begin < numSteps; begin += chunkSteps) {
      const changed = keys.map((key, i) => latestAt(place + i, slot.numSteps, begin, ringSteps) ?? key);
      if (changed.every((key, i) => key === keys[i])) continue;
      variants.push({ keys, firstStep, endStep: begin });
      keys = changed;
      firstStep = begin;
    }
    variants.push({ keys, firstStep, endStep: numSteps });
  }
  return variants;
}

/** The last of the new steps before `begin` whose place this is, as a key; undefined where there is none. */
function latestAt(place: number, pastSteps: number, begin: number, ringSteps: number): number | undefined {
  const last = begin - 1 - ((((pastSteps + begin - 1 - place) % ringSteps) + ringSteps) % ringSteps);
  return last < 0 ? undefined : ringSteps + last;
}
