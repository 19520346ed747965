import { type OpenStreamSet, openStreamSet } from "../../src/streaming/open-engine.ts";
import type { FinalEvent, StreamEvent, StreamOptions } from "../../src/streaming/stream.ts";
import { bundled, recording, testRuntime } from "../recognition/bundled.ts";

/** Seconds that go on by themselves: order and measurements only, so any clock will do. */
export function testClock(): () => number {
  let time = 0;
  return () => {
    time += 0.001;
    return time;
  };
}

/** A set of streams of the bundled model. */
export async function openTestSet(maxStreams = 8, model = bundled("speech")): Promise<OpenStreamSet> {
  return openStreamSet(await model, await testRuntime(), { now: testClock(), maxStreams });
}

/** Some seconds of a recording that comes with the project, with speech from the first second on. */
export async function speech(name: "garden-slt" | "morning-rms", startSec: number, endSec: number) {
  return (await recording(name)).slice(startSec * 16_000, endSec * 16_000);
}

/** Every event of one stream whose sound comes at once. */
export async function runAlone({ set }: OpenStreamSet, samples: Float32Array, options: StreamOptions) {
  const events: StreamEvent[] = [];
  set.open(-1, options, (event) => events.push(event));
  set.feed(-1, samples);
  set.finish(-1);
  while (set.hasWork) await set.runBatch();
  set.close(-1);
  return events;
}

/** Finals of a stream. */
export const finalsOf = (events: readonly StreamEvent[]): FinalEvent[] =>
  events.filter((event) => event.type === "final");

/** Text of a whole stream. */
export function textOf(events: readonly StreamEvent[]): string {
  return finalsOf(events).reduce(
    (text, final) => text + (final.joinsPrevious || text === "" ? "" : " ") + final.text,
    "",
  );
}

/** Tokens of a whole stream with their times. */
export const tokensOf = (events: readonly StreamEvent[]) => finalsOf(events).flatMap(({ tokens }) => timesOf(tokens));

/** Tokens without their confidence. */
export const timesOf = (tokens: FinalEvent["tokens"]) => tokens.map(({ confidence: _, ...token }) => token);

/**
 * Events without their last digits: on some platforms which rows are batched together changes the sums inside a product of
 * matrices by 1e-7, which confidences show, and more where a value of 8 bits is rounded the other way: with -1 digits they
 * are 0.
 */
export const rounded = (events: readonly StreamEvent[], digits = 3): unknown =>
  JSON.parse(
    JSON.stringify(events, (key, value) =>
      key === "confidence" && value !== undefined ? Math.round(value * 10 ** digits) : value,
    ),
  );
