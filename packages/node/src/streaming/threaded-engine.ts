import {
  type BatchReport,
  checkOpenArguments,
  SpeechError,
  type StreamEvent,
  type StreamOptions,
  savedStreamOptions,
} from "@nemo-stt/core";
import { type LaneMode, MAX_LOAD } from "./admission.ts";
import { type Deferred, deferred } from "./deferred.ts";
import { type CreateWorker, EngineThread, type ThreadHost, type ThreadOptions } from "./engine-thread.ts";
import type { Engine, EngineClock } from "./open-engine.ts";
import { type EngineStream, type RemoteHost, RemoteStream } from "./remote-stream.ts";
import { SnapshotFolder } from "./snapshot-files.ts";
import { BatchRecord, type BatchStatistics } from "./statistics.ts";
import type { StreamKind } from "./stream-kind.ts";
import type { ThreadReport } from "./thread-messages.ts";

/** What an engine is doing, for metrics. */
export interface EngineStatistics extends BatchStatistics {
  readonly numStreams: number;
  readonly threads: readonly {
    readonly numStreams: number;
    /** Share of the thread's time that its streams take, as reckoned from measured costs; 0 where nothing was measured. */
    readonly load: number;
    readonly numRestarts: number;
  }[];
  readonly memory: {
    /** Caches of one stream in one latency mode; the sound of a window where the encoder has no caches. */
    readonly cacheBytesPerLane: number;
    /** What streams need to survive the end of their thread: snapshots that are not on the disk, and room for the sound since then. */
    readonly snapshotBytes: number;
    readonly replayBytes: number;
  };
}

/** An engine's choices, all of them made. */
export interface ThreadedEngineOptions {
  readonly numWorkers: number;
  readonly maxStreams: number | undefined;
  readonly idleTimeoutSec: number;
  readonly snapshotSec: number;
  readonly clock: EngineClock;
  readonly onCrash: ((error: SpeechError) => void) | undefined;
  readonly onBatch: ((report: BatchReport) => void) | undefined;
  readonly createWorker: CreateWorker;
  readonly start: ThreadOptions;
}

/** What callers of `open` and those that wait for `feed` may take of a turn of the event loop: who else has something to do waits so long. */
const MAX_TURN_MS = 1;
/** How often idle streams are looked for. */
const SWEEP_SEC = 1;
/** A stream of which nothing was asked for so long rests. */
const RESTS_AFTER_SEC = 5;
/** Many snapshots at once would need much memory at once, which allocators do not give back. */
const MAX_RESTS_PER_SWEEP = 8;

/** An engine in worker threads: places streams, moves them when a thread dies, and passes on what is said. */
export class ThreadedEngine implements Engine, ThreadHost, RemoteHost {
  readonly sampleRateHz: number;
  readonly modes: Engine["modes"];
  readonly defaultContext: Engine["defaultContext"];
  readonly model: Engine["model"];
  readonly createWorker: CreateWorker;
  readonly #kind: StreamKind;
  readonly #options: ThreadedEngineOptions;
  readonly #threads: readonly EngineThread[];
  readonly #places = new Map<RemoteStream, EngineThread>();
  readonly #record = new BatchRecord();
  readonly #snapshots = new SnapshotFolder();
  readonly #stopSweeps: () => void;
  readonly #onExit = () => this.#snapshots.closeNow();
  #scheduled = new Set<RemoteStream>();
  /** The turn of the event loop that ends with sending what is scheduled. */
  #turn: { readonly since: number; readonly end: Deferred<void> } | undefined;
  #nextId = 0;
  #isDraining = false;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void)[] = [];

  constructor(kind: StreamKind, options: ThreadedEngineOptions) {
    this.#kind = kind;
    this.#options = options;
    this.model = { name: kind.name, blankId: kind.blankId };
    this.sampleRateHz = kind.sampleRateHz;
    this.modes = kind.modes;
    this.defaultContext = kind.defaultContext;
    this.createWorker = options.createWorker;
    this.#threads = Array.from({ length: options.numWorkers }, () => new EngineThread(options.start, this));
    process.on("exit", this.#onExit);
    this.#stopSweeps = options.clock.repeat(SWEEP_SEC, () => this.#sweep());
  }

  /** Waits until all threads have the model. */
  async start(): Promise<void> {
    try {
      await Promise.all([this.#snapshots.open(), ...this.#threads.map((thread) => thread.ready)]);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get numStreams(): number {
    return this.#places.size;
  }

  async open(options: StreamOptions, onEvent: (event: StreamEvent) => void, saved?: Uint8Array): Promise<EngineStream> {
    checkOpenArguments(options, onEvent);
    await this.pause();
    if (this.#isDraining || this.#closing) throw ended();
    const chosen = saved ? savedStreamOptions(saved) : options;
    const lanes = this.#kind.lanesOf(chosen);
    const thread = this.#admit(lanes);
    const start = {
      id: this.#nextId++,
      options,
      rateHz: chosen.sampleRateHz ?? this.sampleRateHz,
      snapshotSec: this.#options.snapshotSec,
      onEvent,
    };
    const stream = new RemoteStream(start, this, saved && new Uint8Array(saved));
    this.#place(stream, lanes, thread);
    await stream.opened;
    return stream;
  }

  statistics(): EngineStatistics {
    const streams = [...this.#places.keys()];
    return {
      ...this.#record.read(),
      numStreams: this.numStreams,
      threads: this.#threads.map(({ numStreams, load, numRestarts }) => ({
        numStreams,
        load: load.with(),
        numRestarts,
      })),
      memory: {
        cacheBytesPerLane: this.#kind.laneBytes,
        snapshotBytes: streams.reduce((sum, { snapshotBytes }) => sum + snapshotBytes, 0),
        replayBytes: streams.reduce((sum, { replayBytes }) => sum + replayBytes, 0),
      },
    };
  }

  async drain(): Promise<void> {
    this.#isDraining = true;
    if (this.#places.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    await this.close();
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  nextFile(): string | undefined {
    return this.#snapshots.nextFile();
  }

  now(): number {
    return this.#options.clock.now();
  }

  /** Sends together what all streams have to say in one turn of the event loop. */
  schedule(stream: RemoteStream): void {
    this.#scheduled.add(stream);
    if (this.#turn) return;
    this.#turn = { since: performance.now(), end: deferred() };
    setImmediate(() => this.#flush());
  }

  /** Nothing while this turn of the event loop may take more; fulfilled in the next one otherwise. */
  pause(): Promise<void> | undefined {
    const turn = this.#turn;
    return turn && performance.now() - turn.since > MAX_TURN_MS ? turn.end.promise : undefined;
  }

  remove(stream: RemoteStream): void {
    this.#places.get(stream)?.remove(stream);
    this.#places.delete(stream);
    // Its thread does so too, if it still can.
    this.#snapshots.discard(stream.uselessFiles);
    this.schedule(stream);
    if (this.#places.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  onReport(_thread: EngineThread, { report }: Extract<ThreadReport, { kind: "batch" }>): void {
    this.#record.add(report, this.#kind.soundSec(report));
    this.#tell(() => this.#options.onBatch?.(report));
  }

  onCrash(thread: EngineThread, error: SpeechError): void {
    if (this.#closing) return;
    this.#tell(() => this.#options.onCrash?.(error));
    for (const [stream, lanes] of thread.takeStreams()) {
      const target = stream.survives(error.message) ? this.#refuge(lanes) : undefined;
      this.#snapshots.discard(stream.uselessFiles);
      if (target) this.#place(stream, lanes, target);
      else stream.fail(error);
    }
  }

  /** What a listener of the owner's throws is the process's to handle; the engine is done with its own work by then. */
  #tell(listener: () => void): void {
    queueMicrotask(listener);
  }

  async #close(): Promise<void> {
    this.#stopSweeps();
    for (const stream of this.#places.keys()) stream.fail(ended());
    await Promise.all(this.#threads.map((thread) => thread.close()));
    process.off("exit", this.#onExit);
    await this.#snapshots.close();
  }

  #flush(): void {
    const turn = this.#turn;
    this.#turn = undefined;
    const streams = this.#scheduled;
    this.#scheduled = new Set();
    for (const stream of streams) stream.send();
    for (const thread of this.#threads) thread.flush();
    turn?.end.resolve();
  }

  #place(stream: RemoteStream, lanes: readonly LaneMode[], thread: EngineThread): void {
    this.#places.set(stream, thread);
    thread.add(stream, lanes);
  }

  /** The thread with the least to do. @throws SpeechError `OVER_CAPACITY` when none carries a further stream */
  #admit(lanes: readonly LaneMode[]): EngineThread {
    const { maxStreams } = this.#options;
    const alive = this.#threads.filter((thread) => !thread.isDead);
    if (alive.length === 0)
      throw new SpeechError("RUNTIME_FAILED", "engine: expected threads, got none that lives. Open another engine.");
    if (maxStreams !== undefined && this.numStreams >= maxStreams) throw full(maxStreams);
    const best = leastLoaded(
      alive.filter(({ hasPlace }) => hasPlace),
      lanes,
    );
    if (!best) throw full(this.numStreams);
    // A first stream is never refused: whoever has a slow machine may know what he does.
    if (best.numStreams > 0 && best.load.with(lanes) > MAX_LOAD) throw this.#overloaded(lanes, best);
    return best;
  }

  #overloaded(lanes: readonly LaneMode[], best: EngineThread): SpeechError {
    const percent = (share: number) => `${Math.round(share * 1000) / 10} %`;
    const modes = lanes.map(({ attContext }) => `[${attContext.join(",")}]`).join(" with ");
    const added = best.load.with(lanes) - best.load.with();
    const loads = this.#threads.map(({ load }) => percent(load.with())).join(", ");
    return new SpeechError(
      "OVER_CAPACITY",
      `engine: expected at most ${percent(MAX_LOAD)} of a thread's time to be taken, got ${loads} by ${this.numStreams} streams and ${percent(added)} for one more of ${modes}. Try again when another has ended, or elsewhere.`,
    );
  }

  /** Where a stream goes on whose thread has died: to one that carries it, else to whichever has the least to do. */
  #refuge(lanes: readonly LaneMode[]): EngineThread | undefined {
    const open = this.#threads.filter((thread) => !thread.isDead && thread.hasPlace);
    const free = open.filter((thread) => thread.isReady && thread.load.with(lanes) <= MAX_LOAD);
    return leastLoaded(free, lanes) ?? leastLoaded(open, lanes);
  }

  #sweep(): void {
    for (const thread of this.#threads) thread.watch(this.now());
    const { idleTimeoutSec } = this.#options;
    let numSaved = 0;
    for (const stream of this.#places.keys()) {
      const idleSec = stream.idleSec();
      if (idleSec >= RESTS_AFTER_SEC && numSaved < MAX_RESTS_PER_SWEEP && stream.rest()) numSaved++;
      if (idleSec < idleTimeoutSec) continue;
      const text = `stream ${stream.id}: expected sound within ${idleTimeoutSec} s, got none. Open another stream.`;
      stream.fail(new SpeechError("TIMED_OUT", text));
    }
  }
}

/** By reckoned load, then by number of streams. */
function leastLoaded(threads: readonly EngineThread[], lanes: readonly LaneMode[]): EngineThread | undefined {
  const [best] = threads
    .map((thread) => ({ thread, load: thread.load.with(lanes) }))
    .sort((a, b) => a.load - b.load || a.thread.numStreams - b.thread.numStreams);
  return best?.thread;
}

function full(numStreams: number): SpeechError {
  return new SpeechError(
    "OVER_CAPACITY",
    `engine: expected at most ${numStreams} streams at a time, got one more. Try again when another has ended, or elsewhere.`,
  );
}

function ended(): SpeechError {
  return new SpeechError("CLOSED", "engine: expected an open engine, got one that is ending. Use another.");
}
