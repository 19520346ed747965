import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import type { Runtime } from "@nemo-stt/core";

const IS_CLOSED = 0;
const NUM_RUNS = 1;

/** Memory that a thread's owner shares with it. */
export type GateMemory = SharedArrayBuffer;

/** How long ends wait for a run that is under way: far longer than any batch takes. What takes longer hangs. */
const MAX_WAIT_MS = 10_000;
const POLL_MS = 2;
/** Between looks at a run that hangs. */
const SLOW_POLL_MS = 500;

/**
 * Keeps a thread from being ended inside a run: ONNX Runtime's binding would take the whole process with it, as it can
 * neither return nor throw in a thread that is ending. Behind a closed gate no run begins.
 */
export class RunGate {
  readonly memory: GateMemory = new SharedArrayBuffer(8);
  readonly #state = new Int32Array(this.memory);
  readonly #maxWaitMs: number;
  #deadlineMs: number | undefined;

  /** @param maxWaitMs from when on a run that is under way when the gate is closed hangs */
  constructor(maxWaitMs: number = MAX_WAIT_MS) {
    this.#maxWaitMs = maxWaitMs;
  }

  /** Closes the gate and waits for the run under way, but not for one that hangs. @returns whether none is under way */
  async close(): Promise<boolean> {
    this.shut();
    // Looked at once in each turn: what comes to a closed gate counts for a moment, too, until it sees that it is closed.
    while (this.#numRuns > 0) {
      if (this.#leftMs === 0) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }

  /** Waits for a run that hangs, if for ever, without keeping the process alive. */
  async whenFree(): Promise<void> {
    while (this.#numRuns > 0) await new Promise((resolve) => setTimeout(resolve, SLOW_POLL_MS).unref());
  }

  /** Tells that the thread has ended, inside of what it may have begun. */
  abandon(): void {
    Atomics.store(this.#state, NUM_RUNS, 0);
  }

  /** Closes the gate and waits for nothing. */
  shut(): void {
    Atomics.store(this.#state, IS_CLOSED, 1);
    this.#deadlineMs ??= performance.now() + this.#maxWaitMs;
  }

  /** `close` at the end of the process, which cannot wait for a promise. */
  closeNow(): boolean {
    this.shut();
    for (let numRuns = this.#numRuns; numRuns > 0; numRuns = this.#numRuns) {
      if (this.#leftMs === 0) return false;
      Atomics.wait(this.#state, NUM_RUNS, numRuns, this.#leftMs);
    }
    return true;
  }

  get #numRuns(): number {
    return Atomics.load(this.#state, NUM_RUNS);
  }

  /** Until a run that is under way hangs. */
  get #leftMs(): number {
    return Math.max(0, (this.#deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now());
  }
}

const openAtExit = new Set<RunGate>();
let isListening = false;

/** Has the end of the process wait for the run under way, until the thread has ended: call what is returned then. */
export function closeAtExit(gate: RunGate): () => void {
  openAtExit.add(gate);
  if (!isListening) {
    isListening = true;
    process.on("exit", leave);
  }
  return () => void openAtExit.delete(gate);
}

/**
 * Ends runs before the process ends. Node waits for its threads, for one inside of a run without limit; so a process with
 * a run that hangs is killed, after everybody else who listens for its end.
 */
function leave(code: number): void {
  for (const gate of openAtExit) gate.shut();
  const numHung = [...openAtExit].filter((gate) => !gate.closeNow()).length;
  // Nothing but a process can be ended so: the thread that runs a program's thread is the program's.
  if (numHung === 0 || !isMainThread) return;
  const listeners = process.listeners("exit");
  for (const listener of listeners.slice(listeners.indexOf(leave) + 1)) quietly(() => listener.call(process, code));
  const text = `nemo-stt: expected threads that end, got ${numHung} that hang inside of ONNX Runtime. The process is killed; its exit code would have been ${code}.\n`;
  quietly(() => writeSync(2, text));
  process.kill(process.pid, "SIGKILL");
}

/** Does something whose failure nobody would be told of any more. */
function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The process is ending.
  }
}

/** A runtime whose loads and runs begin only while the gate is open; behind it they wait for the end of the thread. */
export function gatedRuntime(runtime: Runtime, memory: GateMemory): Runtime {
  const state = new Int32Array(memory);
  const leave = () => {
    Atomics.sub(state, NUM_RUNS, 1);
    Atomics.notify(state, NUM_RUNS);
  };
  const pass = <T>(action: () => Promise<T>): Promise<T> => {
    Atomics.add(state, NUM_RUNS, 1);
    if (Atomics.load(state, IS_CLOSED) === 0) return action().finally(leave);
    leave();
    return new Promise(() => {});
  };
  return {
    name: runtime.name,
    async load(graph, options) {
      const session = await pass(() => runtime.load(graph, options));
      return { ...session, run: (...inputs) => pass(() => session.run(...inputs)) };
    },
  };
}
