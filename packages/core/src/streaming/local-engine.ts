import { type StreamMode, streamModes } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import type { BatchTimes } from "./batch-times.ts";
import { LocalStream, type StreamHost } from "./local-stream.ts";
import { savedStreamOptions } from "./saved-stream.ts";
import type { SpeechEngine, StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamParts, StreamSet } from "./stream-set.ts";

/** How an engine behaves beside what its streams do. */
export interface LocalEngineOptions {
  /** Sound that a stream may have waiting before `feed` makes its caller wait; 2 s and the chunk under way unless told. */
  readonly maxPendingSec?: number;
  /** Told of every batch. */
  readonly onBatch?: (report: BatchTimes) => void;
  /** What the engine tells of its latencies; those of an encoder with caches unless told. */
  readonly modes?: SpeechEngine["modes"];
  /** Told when a batch fails, after which nothing goes on. */
  readonly onFailure?: (error: unknown) => void;
  /** Frees the model when the engine ends. */
  readonly release: () => Promise<void>;
}

/**
 * An engine on the calling thread: batches run one after another as long as chunks wait. Between batches, and between the
 * products of one, whatever else the thread has to do gets its turn.
 */
export function createLocalEngine(
  { spec }: Pick<StreamParts, "spec">,
  set: StreamSet,
  options: LocalEngineOptions,
): SpeechEngine {
  const { maxPendingSec = 2, modes = streamModes(spec).map(latencyOf) } = options;
  let nextId = 0;
  let isDraining = false;
  let closing: Promise<void> | undefined;
  let pumping: Promise<void> | undefined;
  let failure: unknown;
  /** Resolved after each batch and each closing. */
  let wakeups: (() => void)[] = [];

  async function pump(): Promise<void> {
    while (set.hasWork && !closing) {
      const report = await set.runBatch();
      if (report) options.onBatch?.(report);
      wake();
    }
  }

  function wake(): void {
    const woken = wakeups;
    wakeups = [];
    for (const resolve of woken) resolve();
  }

  function start(): void {
    if (failure !== undefined || closing) return;
    pumping ??= pump()
      .catch((error) => {
        failure = error;
        options.onFailure?.(error);
      })
      .finally(() => {
        pumping = undefined;
        wake();
        if (set.hasWork) start();
      });
  }

  /** Waits until a condition holds; conditions change with batches and closings only. */
  async function until(isTrue: () => boolean): Promise<void> {
    for (;;) {
      if (failure !== undefined) throw failure;
      if (closing) throw ended();
      if (isTrue()) return;
      await new Promise<void>((resolve) => wakeups.push(resolve));
    }
  }

  const host: Omit<StreamHost, "rateHz"> = { set, maxPendingSec, start, wake, until };

  async function close(): Promise<void> {
    closing ??= (async () => {
      await pumping;
      await options.release();
    })();
    wake();
    await closing;
  }

  return {
    sampleRateHz: spec.sampleRateHz,
    modes,
    get numStreams() {
      return set.numStreams;
    },
    async open(streamOptions: StreamOptions, onEvent: (event: StreamEvent) => void, saved?: Uint8Array) {
      if (failure !== undefined) throw failure;
      if (isDraining || closing) throw ended();
      const id = nextId++;
      set.open(id, streamOptions, onEvent, saved);
      start();
      const { sampleRateHz = spec.sampleRateHz } = saved ? savedStreamOptions(saved) : streamOptions;
      return new LocalStream(id, { ...host, rateHz: sampleRateHz });
    },
    async drain() {
      isDraining = true;
      // An engine that fails or is closed meanwhile has nothing left to wait for.
      await until(() => set.numStreams === 0).catch(() => {});
      await close();
    },
    close,
  };
}

const latencyOf = ({ attContext, chunkSec }: StreamMode) => ({ attContext, chunkSec });

function ended(): SpeechError {
  return new SpeechError("CLOSED", "engine: expected an open engine, got one that is ending. Use another.");
}
