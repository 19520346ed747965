import type { Worker, WorkerOptions } from "node:worker_threads";
import { SpeechError } from "@nemo-stt/core";
import { closeAtExit, RunGate } from "../run-gate.ts";
import { type LaneMode, ThreadLoad } from "./admission.ts";
import { unpackError } from "./crossing-error.ts";
import { type Deferred, deferred } from "./deferred.ts";
import type { RemoteStream } from "./remote-stream.ts";
import type { StreamCommand, ThreadCommand, ThreadReport, ThreadStart } from "./thread-messages.ts";
import { Watchdog } from "./watchdog.ts";

/** Threads run what was built, also where this file is run from its source: Node 20 does not strip types in workers. */
const ENTRY = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/streaming/engine-worker.js" : "./engine-worker.js",
  import.meta.url,
);

/** What a thread is started with, but for what it shares with its engine. */
export type ThreadOptions = Omit<ThreadStart, "gate">;

/** Starts a worker thread. */
export type CreateWorker = (entry: URL, options: WorkerOptions) => Worker;

/** What a thread tells its engine. */
export interface ThreadHost {
  readonly createWorker: CreateWorker;
  onReport(thread: EngineThread, report: Extract<ThreadReport, { kind: "batch" }>): void;
  /** The thread has died; another one starts in its place, unless it is `isDead`. Its streams are the engine's to move. */
  onCrash(thread: EngineThread, error: SpeechError): void;
}

/** Threads that end before they are ready, one after another, until no other is started. */
const MAX_FAILED_STARTS = 3;

/** One worker thread of an engine and the streams that it has. */
export class EngineThread {
  readonly load = new ThreadLoad();
  readonly #lanes = new Map<RemoteStream, readonly LaneMode[]>();
  readonly #streams = new Map<number, RemoteStream>();
  readonly #start: ThreadOptions;
  readonly #host: ThreadHost;
  #worker: Worker | undefined;
  #gate = new RunGate();
  #ready: Deferred<void> = deferred();
  #watchdog = new Watchdog();
  #outbox: ThreadCommand[] = [];
  #transfer: ArrayBuffer[] = [];
  #numFailedStarts = 0;
  #isReady = false;
  /** Times that another thread was started in this one's place. */
  numRestarts = 0;

  constructor(start: ThreadOptions, host: ThreadHost) {
    this.#start = start;
    this.#host = host;
    this.#run();
  }

  /** Fulfilled when the model is loaded. @throws what was wrong with it */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** True when no thread runs here any more. */
  get isDead(): boolean {
    return this.#worker === undefined;
  }

  get numStreams(): number {
    return this.#streams.size;
  }

  /** True while there are caches for a further stream. */
  get hasPlace(): boolean {
    return this.#streams.size < this.#start.maxStreams;
  }

  /** Takes a stream over, from its last snapshot. */
  add(stream: RemoteStream, lanes: readonly LaneMode[]): void {
    this.#streams.set(stream.id, stream);
    this.#lanes.set(stream, lanes);
    this.load.add(lanes, 1);
    stream.restart((command, transfer) => this.#post(command, transfer));
    this.#worker?.ref();
  }

  /** Forgets a stream that has ended. */
  remove(stream: RemoteStream): void {
    const lanes = this.#lanes.get(stream);
    if (!lanes) return;
    this.#streams.delete(stream.id);
    this.#lanes.delete(stream);
    this.load.add(lanes, -1);
    this.#post({ kind: "close", stream: stream.id });
    if (this.#streams.size === 0) this.#worker?.unref();
  }

  /** Puts a command into the next message. */
  #post(command: StreamCommand, transfer?: ArrayBuffer): void {
    this.#outbox.push(command);
    if (transfer) this.#transfer.push(transfer);
  }

  /** Sends what was put together, as one message. */
  flush(): void {
    if (this.#outbox.length > 0) this.#worker?.postMessage(this.#outbox, this.#transfer);
    this.#outbox = [];
    this.#transfer = [];
  }

  /** Looks whether the thread still answers; one that does not is ended, as if it had died. @param now in seconds */
  watch(now: number): void {
    if (this.isDead) return;
    const state = this.#isReady ? (this.#streams.size > 0 ? "working" : "resting") : "starting";
    const hungSec = this.#watchdog.look(now, state, () => {
      this.#outbox.push({ kind: "ping" });
      this.flush();
    });
    if (hungSec !== undefined) this.#crash(this.#worker, `no answer for ${Math.round(hungSec)} s`);
  }

  /** Ends the thread as soon as no run is under way in it; one that hangs in a run is left behind. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#ready.reject(new SpeechError("CLOSED", "engine: expected an open engine, got one that is ending."));
    if (!worker) return;
    const ended = worker.terminate();
    if (await this.#gate.close()) await ended;
    else worker.unref();
  }

  #run(): void {
    const fromSource = import.meta.url.endsWith(".ts");
    const gate = new RunGate();
    const start: ThreadStart = { ...this.#start, gate: gate.memory };
    const worker = this.#host.createWorker(ENTRY, {
      name: "nemo-stt-engine",
      workerData: start,
      // The conditions that find the sources of packages must not reach what was built.
      ...(fromSource && { execArgv: [] }),
    });
    makeSafe(worker, gate);
    const forget = closeAtExit(gate);
    worker.on("message", (reports: ThreadReport[]) => {
      if (worker === this.#worker) this.#watchdog.heard();
      for (const report of reports) if (worker === this.#worker) this.#receive(report);
    });
    worker.on("error", (error: Error) => this.#crash(worker, error.message));
    worker.on("messageerror", (error: Error) => this.#crash(worker, error.message));
    worker.on("exit", (code) => {
      gate.abandon();
      forget();
      this.#crash(worker, `exit code ${code}`);
    });
    this.#worker = worker;
    this.#gate = gate;
    this.#watchdog = new Watchdog();
  }

  #receive(report: ThreadReport): void {
    if (report.kind === "batch") {
      this.load.observe(report.report);
      this.#host.onReport(this, report);
    } else if (report.kind === "ready") {
      this.load.setCosts(report.costs);
      this.#isReady = true;
      this.#numFailedStarts = 0;
      if (this.#streams.size === 0) this.#worker?.unref();
      this.#ready.resolve();
    } else if (report.kind === "refused") {
      const error = unpackError(report.error);
      this.#ready.reject(error);
      this.#crash(this.#worker, error.message);
    } else if (report.kind !== "pong") {
      this.#streams.get(report.stream)?.receive(report);
    }
  }

  #crash(worker: Worker | undefined, reason: string): void {
    if (!worker || worker !== this.#worker) return;
    // One that hangs inside of a run ends when the run does, if ever: nobody waits for it.
    worker.unref();
    void worker.terminate();
    const hasWorked = this.#isReady;
    this.#worker = undefined;
    this.#isReady = false;
    this.#outbox = [];
    this.#transfer = [];
    this.#numFailedStarts = hasWorked ? 0 : this.#numFailedStarts + 1;
    const text = `engine: expected a thread that lives, got the end of one (${reason}). Its ${this.#streams.size} streams go on in others.`;
    const error = new SpeechError("RUNTIME_FAILED", text);
    const isFirst = !hasWorked && this.numRestarts === 0;
    this.#ready.reject(error);
    if (!isFirst && this.#numFailedStarts < MAX_FAILED_STARTS) {
      this.numRestarts++;
      this.#ready = deferred();
      this.#run();
    }
    this.#host.onCrash(this, error);
  }

  /** Gives up its streams, each with its lanes. */
  takeStreams(): [RemoteStream, readonly LaneMode[]][] {
    const moved = [...this.#lanes];
    for (const [, lanes] of moved) this.load.add(lanes, -1);
    this.#lanes.clear();
    this.#streams.clear();
    return moved;
  }
}

/** Has every end of a thread that is asked for wait for the run under way. */
function makeSafe(worker: Worker, gate: RunGate): void {
  const terminate = worker.terminate.bind(worker);
  worker.terminate = async () => {
    if (!(await gate.close())) await gate.whenFree();
    return terminate();
  };
}
