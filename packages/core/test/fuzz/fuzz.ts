import { test } from "vitest";
import { isSpeechError } from "../../src/errors.ts";
import { mutate, random } from "./mutate.ts";

/** Inputs per format; the long mode is `FUZZ_ITERATIONS=1000000 npx vitest run packages/core/test/fuzz`. */
const NUM_ITERATIONS = Number(process.env.FUZZ_ITERATIONS ?? 400);
/** Another seed makes other inputs. */
const SEED = Number(process.env.FUZZ_SEED ?? 1);
/** No reader takes longer for inputs of this size; a longer one hangs. */
const MAX_MS = 10_000;

/** Options of `fuzz`. */
export interface FuzzOptions {
  /** Makes a mutated input valid again where everything would else end in the same check (a checksum). */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
}

/**
 * A test that a reader survives mutations of good inputs: it succeeds or throws a `SpeechError`, never another error.
 * Every input follows from `FUZZ_SEED` and its number; a failure names both and shows the input.
 */
export function fuzz(
  name: string,
  seeds: readonly Uint8Array[],
  read: (bytes: Uint8Array) => unknown | Promise<unknown>,
  { repair }: FuzzOptions = {},
): void {
  const survives = async () => {
    for (const seed of seeds) await read(seed.slice()); // Seeds are good inputs; mutations of bad ones test little.
    for (let i = 0; i < NUM_ITERATIONS; i++) {
      const next = random(SEED * 1_000_003 + i);
      const seed = seeds[next(seeds.length)];
      const mutated = mutate(seed, seeds, next);
      const input = repair !== undefined && next(4) > 0 ? repair(mutated.slice()) : mutated.slice();
      await readOne(name, input, read, i);
    }
  };
  test(
    `${name}: ${NUM_ITERATIONS} mutated inputs succeed or end in a clear error`,
    survives,
    60_000 + NUM_ITERATIONS * 60,
  );
}

async function readOne(
  name: string,
  input: Uint8Array,
  read: (bytes: Uint8Array) => unknown,
  i: number,
): Promise<void> {
  const started = performance.now();
  const copy = input.slice();
  let failure: unknown;
  try {
    await read(copy);
  } catch (error) {
    if (!isSpeechError(error) || error.message.length > 2000) failure = error;
  }
  if (performance.now() - started > MAX_MS) failure ??= new Error(`took ${Math.round(performance.now() - started)} ms`);
  if (failure === undefined) return;
  const shown = Buffer.from(input.subarray(0, 6000)).toString("base64");
  throw new Error(`${name}: input ${i} of FUZZ_SEED=${SEED} (${input.length} bytes): ${String(failure)}\n${shown}`, {
    cause: failure,
  });
}
