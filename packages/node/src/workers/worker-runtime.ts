import { availableParallelism } from "node:os";
import { type OrtTensor, ortGraphSession, type Runtime, runtimeFailed, SpeechError, type Tensor } from "@nemo-stt/core";
import { graphMetadata, graphName, type NodeRuntimeOptions, type OrtArguments, ortArguments } from "../runtime.ts";
import { OrtThread } from "./ort-thread.ts";

/** Options of `workerRuntime`. */
export interface WorkerRuntimeOptions extends NodeRuntimeOptions {
  /** Threads that run graphs; as many as the machine has cores unless told. */
  readonly numWorkers?: number;
  /**
   * `copy` (unless told) leaves feeds to the caller. `transfer` hands their memory over to the worker: a feed whose
   * array spans its whole buffer is empty afterwards.
   */
  readonly feeds?: "copy" | "transfer";
}

/** A `Runtime` with threads of its own; whoever made it closes it. */
export interface WorkerRuntime extends Runtime {
  /** Waits for the runs under way, then ends the threads. Idempotent. */
  close(): Promise<void>;
}

/**
 * ONNX Runtime in worker threads: the event loop never waits for a run, and runs of one graph go on side by side.
 *
 * A graph is loaded by the first thread when it is loaded, and by another when a run finds the first one busy; so weights
 * are held once by a program that runs one thing at a time, and at most once a thread. Results are transferred and
 * belong to the caller. Crossing costs about 0.1 ms a run: loops of very small graphs belong on one thread as a whole.
 */
export function workerRuntime(options: WorkerRuntimeOptions = {}): WorkerRuntime {
  const numWorkers = options.numWorkers ?? availableParallelism();
  if (!Number.isInteger(numWorkers) || numWorkers < 1) {
    throw new RangeError(
      `options.numWorkers: expected a positive integer, got ${numWorkers}. Leave it out, or give one.`,
    );
  }
  const threads = Array.from({ length: numWorkers }, () => new OrtThread());
  let numGraphs = 0;
  let closing: Promise<unknown> | undefined;

  return {
    name: "onnxruntime-node (workers)",
    async load(location, graphOptions = {}) {
      if (closing) {
        const text = "workerRuntime: expected an open runtime, got one after `close()`. Make another runtime.";
        throw new SpeechError("CLOSED", text);
      }
      const name = graphName(location);
      const metadata = await graphMetadata(location);
      const graph = numGraphs++;
      try {
        const source = await ortArguments(location, options, graphOptions.numThreads);
        const loaded = await leastBusy(threads, graph).load(graph, source);
        const session = {
          ...loaded,
          run: (feeds: Record<string, Tensor>, outputs: readonly string[]) =>
            runSomewhere(threads, graph, source, { feeds, outputs, transfers: options.feeds === "transfer" }),
          release: async () => void (await Promise.allSettled(threads.map((thread) => thread.release(graph)))),
        };
        return ortGraphSession(session, { name, metadata, createTensor: (tensor) => tensor });
      } catch (error) {
        throw runtimeFailed(`${name}: the graph was refused`, error);
      }
    },
    async close() {
      closing ??= Promise.all(threads.map((thread) => thread.close()));
      await closing;
    },
  };
}

/** The thread with the fewest requests; among equals one that has the graph. */
function leastBusy(threads: readonly OrtThread[], graph: number): OrtThread {
  const cost = (thread: OrtThread) => 2 * thread.numPending + (thread.hasGraph(graph) ? 0 : 1);
  return threads.reduce((best, thread) => (cost(thread) < cost(best) ? thread : best));
}

async function runSomewhere(
  threads: readonly OrtThread[],
  graph: number,
  source: OrtArguments,
  { feeds, outputs, transfers }: { feeds: Record<string, Tensor>; outputs: readonly string[]; transfers: boolean },
): Promise<Record<string, OrtTensor>> {
  const thread = leastBusy(threads, graph);
  // The run goes off at once behind the load, so that the thread counts as busy with both.
  const [, results] = await Promise.all([
    thread.load(graph, source),
    thread.run(graph, feeds, outputs, transferList(feeds, transfers)),
  ]);
  return results;
}

/**
 * The buffers that may be handed over: those that a feed spans entirely, each once. An empty one is left out: it may be
 * one that was handed over before, which only a copy reports.
 */
function transferList(feeds: Record<string, Tensor>, isWanted: boolean): ArrayBuffer[] {
  if (!isWanted) return [];
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of Object.values(feeds)) {
    const { buffer, byteLength } = data;
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && byteLength > 0) buffers.add(buffer);
  }
  return [...buffers];
}
