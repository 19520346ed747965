import { Worker } from "node:worker_threads";
import { openStreamSet, type StreamEvent, type StreamOptions } from "@nemo-stt/core";
import {
  type Engine,
  type EngineClock,
  nodeRuntime,
  type OpenEngineOptions,
  openAudio,
  openEngine,
  openModel,
  toModelInput,
} from "../../src/index.ts";

/** Some seconds of a bundled recording, at 16 kHz. */
export async function speech(name: "garden-slt" | "morning-rms", startSec: number, endSec: number) {
  const path = new URL(`../../../../examples/audio/${name}.wav`, import.meta.url).pathname;
  const audio = await openAudio(path);
  const [waveform] = await toModelInput(audio, 16_000);
  await audio.close();
  return waveform.slice(startSec * 16_000, endSec * 16_000);
}

/** Opens an engine on the bundled model unless told, or on a thread that only pretends. */
export async function openTestEngine(
  options: OpenEngineOptions & { isFake?: boolean; model?: string } = {},
): Promise<Engine & { workers: Worker[] }> {
  const workers: Worker[] = [];
  const fake = new URL("./fake-engine-worker.mjs", import.meta.url);
  const engine = await openEngine(options.model, {
    createWorker(entry, workerOptions) {
      const worker = new Worker(options.isFake ? fake : entry, workerOptions);
      workers.push(worker);
      return worker;
    },
    ...options,
  });
  return Object.assign(engine, { workers });
}

/** Gives a reference: the events of streams that are alone in a set on the calling thread and fed at once. */
export async function openReference(precision?: "int8") {
  const model = await openModel(new URL("../../models/nemo-stt-en-tiny.nemo", import.meta.url).pathname, { precision });
  let time = 0;
  const opened = await openStreamSet(model, nodeRuntime(), { maxStreams: 2, now: () => ++time });
  const known = new Map<string, Promise<StreamEvent[]>>();
  async function compute(samples: Float32Array, options: StreamOptions): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    const { set } = opened;
    set.open(1, options, (event) => events.push(event));
    set.feed(1, samples);
    set.finish(1);
    while (set.hasWork) await set.runBatch();
    set.close(1);
    return events;
  }
  let last: Promise<unknown> = Promise.resolve();
  return {
    /** @param key what the samples are called */
    events(key: string, samples: Float32Array, options: StreamOptions): Promise<StreamEvent[]> {
      const name = JSON.stringify([key, options]);
      const events = known.get(name) ?? last.then(() => compute(samples, options));
      last = events;
      known.set(name, events);
      return events;
    },
    close: () => opened.release(),
  };
}

/** Events without the last digits of their confidences, which batch mates change by 1e-7. */
export const rounded = (events: readonly StreamEvent[]): unknown =>
  JSON.parse(
    JSON.stringify(events, (key, value) =>
      key === "confidence" && value !== undefined ? Math.round(value * 1000) / 1000 : value,
    ),
  );

/** A clock that stands still until it is told. */
export function manualClock(): EngineClock & { pass(seconds: number): void } {
  let time = 0;
  const actions = new Set<() => void>();
  return {
    now: () => time,
    repeat(_seconds, action) {
      actions.add(action);
      return () => actions.delete(action);
    },
    pass(seconds) {
      time += seconds;
      for (const action of actions) action();
    },
  };
}
