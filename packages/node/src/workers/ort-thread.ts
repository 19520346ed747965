import { Worker } from "node:worker_threads";
import { type OrtTensor, type OrtValueMetadata, SpeechError, type Tensor } from "@nemo-stt/core";
import { closeAtExit, RunGate } from "../run-gate.ts";
import type { OrtArguments } from "../runtime.ts";

/** What the worker is asked. Graphs have numbers that never come twice. */
export type Request =
  | ({ readonly kind: "load"; readonly graph: number } & OrtArguments)
  | {
      readonly kind: "run";
      readonly graph: number;
      readonly feeds: Readonly<Record<string, Tensor>>;
      readonly outputs: readonly string[];
    }
  | { readonly kind: "release"; readonly graph: number };

/** What a worker tells of a graph that it has loaded. */
export interface LoadedGraph {
  readonly inputMetadata: readonly OrtValueMetadata[];
  readonly outputMetadata: readonly OrtValueMetadata[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * One worker thread with ONNX Runtime in it. Starts with the first request; when it crashes, its requests are rejected
 * with `RUNTIME_FAILED` and the next request starts another. An idle thread does not keep the process alive, and the end of
 * the process waits for the run under way (see `RunGate`).
 */
export class OrtThread {
  readonly #entry: URL;
  #worker: Worker | undefined;
  #nextId = 0;
  #isClosed = false;
  readonly #whenIdle: (() => void)[] = [];
  readonly #waiting = new Map<number, Waiting>();
  readonly #graphs = new Map<number, Promise<LoadedGraph>>();

  constructor(entry = new URL("./ort-worker.mjs", import.meta.url)) {
    this.#entry = entry;
  }

  /** Requests under way. */
  get numPending(): number {
    return this.#waiting.size;
  }

  hasGraph(graph: number): boolean {
    return this.#graphs.has(graph);
  }

  /** Loads a graph unless it is loaded. */
  load(graph: number, source: OrtArguments): Promise<LoadedGraph> {
    const known = this.#graphs.get(graph);
    if (known) return known;
    const loading = this.#ask({ kind: "load", graph, ...source }, []) as Promise<LoadedGraph>;
    this.#graphs.set(graph, loading);
    loading.catch(() => this.#graphs.delete(graph));
    return loading;
  }

  /** Runs a loaded graph. `transfer` names the buffers that are handed over instead of copied. */
  run(
    graph: number,
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
    transfer: readonly ArrayBuffer[],
  ): Promise<Record<string, OrtTensor>> {
    return this.#ask({ kind: "run", graph, feeds, outputs }, transfer) as Promise<Record<string, OrtTensor>>;
  }

  /** Frees a graph here, if it was ever loaded. */
  async release(graph: number): Promise<void> {
    if (!this.#graphs.delete(graph) || !this.#worker) return;
    await this.#ask({ kind: "release", graph }, []);
  }

  /** Waits for the requests under way, then ends the thread. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#waiting.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    await this.#worker?.terminate();
  }

  #ask(request: Request, transfer: readonly ArrayBuffer[]): Promise<unknown> {
    if (this.#isClosed) {
      const text = "worker: expected an open runtime, got one after `close()`. Make another runtime.";
      return Promise.reject(new SpeechError("CLOSED", text));
    }
    const worker = this.#started();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      worker.postMessage({ ...request, id }, transfer); // Throws, and so rejects, when a buffer is detached.
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
    });
  }

  #started(): Worker {
    if (this.#worker) return this.#worker;
    const gate = new RunGate();
    const forget = closeAtExit(gate);
    const worker = new Worker(this.#entry, { name: "nemo-stt-ort", workerData: { gate: gate.memory } });
    worker.unref();
    worker.on("message", (answer: Answer) => this.#settle(answer));
    worker.on("error", (error: Error) => this.#crash(worker, error.message));
    worker.on("messageerror", (error: Error) => this.#crash(worker, error.message));
    worker.on("exit", (code) => {
      forget();
      this.#crash(worker, `exit code ${code}`);
    });
    this.#worker = worker;
    return worker;
  }

  #settle({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
    if (this.#waiting.size === 0) this.#rest();
  }

  #crash(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#graphs.clear();
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of lost) {
      const text = `worker: expected an answer, got the end of the thread (${reason}). Run it again: a new thread starts.`;
      reject(new SpeechError("RUNTIME_FAILED", text));
    }
    this.#rest();
  }

  #rest(): void {
    this.#worker?.unref();
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
