import { type StreamMode, streamModes } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import type { BatchReport } from "./batch.ts";
import type { SpeechEngine, SpeechStream, StreamEvent, StreamOptions } from "./stream.ts";
import type { StreamParts, StreamSet } from "./stream-set.ts";

/** How an engine behaves beside what its streams do. */
export interface LocalEngineOptions {
  /** Sound that a stream may have waiting before `feed` makes its caller wait; 2 s and the chunk under way unless told. */
  readonly maxPendingSec?: number;
  /** Told of every batch. */
  readonly onBatch?: (report: BatchReport) => void;
  /** What the engine tells of its latencies; those of an encoder with caches unless told. */
  readonly modes?: SpeechEngine["modes"];
  /** Frees the model when the engine ends. */
  readonly release: () => Promise<void>;
}

/** Beyond this a caller that does not wait is refused: what waits must fit into memory. */
const REFUSED_AFTER_SEC = 120;

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
    pumping ??= pump()
      .catch((error) => {
        failure = error;
      })
      .finally(() => {
        pumping = undefined;
        wake();
        if (set.hasWork && failure === undefined && !closing) start();
      });
  }

  /** Waits until a condition holds; conditions change with batches and closings only. */
  async function until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve) => wakeups.push(resolve));
    }
  }

  function streamOf(id: number): SpeechStream {
    let isOpen = true;
    let hasFinished = false;
    const check = () => {
      if (isOpen && !closing) return;
      throw new SpeechError("CLOSED", `stream ${id}: expected an open stream, got one that has ended. Open another.`);
    };
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      set.close(id);
      wake();
    };
    return {
      id,
      async feed(samples) {
        check();
        if (set.pendingSec(id) > REFUSED_AFTER_SEC) {
          throw new SpeechError(
            "OVER_CAPACITY",
            `stream ${id}: expected at most ${REFUSED_AFTER_SEC} s of sound to wait, got more. Await each \`feed\`.`,
          );
        }
        set.feed(id, samples);
        start();
        await until(() => !isOpen || !set.isBusy(id) || set.pendingSec(id) <= maxPendingSec);
      },
      async endUtterance() {
        check();
        await until(() => !isOpen || !set.isBusy(id));
        if (isOpen) set.cut(id);
      },
      async finish() {
        check();
        if (!hasFinished) {
          hasFinished = true;
          set.finish(id);
          start();
        }
        await until(() => !isOpen || set.hasEnded(id));
        close();
      },
      async close() {
        close();
      },
      async save() {
        check();
        await until(() => !isOpen || !set.isBusy(id));
        check();
        return set.save(id);
      },
    };
  }

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
      if (isDraining || closing) {
        throw new SpeechError("CLOSED", "engine: expected an open engine, got one that is ending. Use another.");
      }
      const id = nextId++;
      set.open(id, streamOptions, onEvent, saved);
      start();
      return streamOf(id);
    },
    async drain() {
      isDraining = true;
      await until(() => set.numStreams === 0);
      await close();
    },
    close,
  };
}

const latencyOf = ({ attContext, chunkSec }: StreamMode) => ({ attContext, chunkSec });
