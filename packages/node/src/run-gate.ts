import type { Runtime } from "@nemo-stt/core";

const IS_CLOSED = 0;
const NUM_RUNS = 1;

/** Memory that a thread's owner shares with it. */
export type GateMemory = SharedArrayBuffer;

/** How long the end of a process waits for a run that is under way: far longer than any batch takes. */
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

  /** Closes the gate and waits for the run under way; for one that hangs too, but without keeping the process alive. */
  async close(): Promise<void> {
    Atomics.store(this.#state, IS_CLOSED, 1);
    for (let waitedMs = 0; Atomics.load(this.#state, NUM_RUNS) > 0; waitedMs += POLL_MS) {
      const hangs = waitedMs > MAX_WAIT_MS;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, hangs ? SLOW_POLL_MS : POLL_MS);
        if (hangs) timer.unref();
      });
    }
  }

  /** Tells that the thread has ended, inside of what it may have begun. */
  abandon(): void {
    Atomics.store(this.#state, NUM_RUNS, 0);
  }

  /** Closes it at the end of the process, which cannot wait for a promise. */
  closeNow(): void {
    Atomics.store(this.#state, IS_CLOSED, 1);
    const numRuns = Atomics.load(this.#state, NUM_RUNS);
    if (numRuns > 0) Atomics.wait(this.#state, NUM_RUNS, numRuns, MAX_WAIT_MS);
  }
}

const openAtExit = new Set<RunGate>();
let isListening = false;

/** Has the end of the process wait for the run under way, until the thread has ended: call what is returned then. */
export function closeAtExit(gate: RunGate): () => void {
  openAtExit.add(gate);
  if (!isListening) {
    isListening = true;
    process.on("exit", () => {
      for (const open of openAtExit) open.closeNow();
    });
  }
  return () => void openAtExit.delete(gate);
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
