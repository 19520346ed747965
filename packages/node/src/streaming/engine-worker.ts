// One thread of an engine: its own graphs, streams and batches. Everything about one stream happens here in the order in
// which it is asked; whatever is told goes out together once a turn of the event loop.
import { readFile } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import {
  createLocalEngine,
  openSpeechSet,
  type SpeechEngine,
  SpeechError,
  type SpeechStream,
  type StreamEvent,
} from "@nemo-stt/core";
import { openAnyModel, openModel } from "../model.ts";
import { gatedRuntime } from "../run-gate.ts";
import { nodeRuntime } from "../runtime.ts";
import { packError } from "./crossing-error.ts";
import { StreamSnapshots } from "./snapshot-files.ts";
import type { StreamCommand, ThreadCommand, ThreadReport, ThreadStart } from "./thread-messages.ts";

type Command<K extends StreamCommand["kind"]> = Extract<StreamCommand, { kind: K }>;

interface Served {
  readonly opened: Promise<SpeechStream>;
  /** Fulfilled when the next thing may be done: what is saved must not know of what was asked later. */
  turn: Promise<unknown>;
  /** Events so far, with those that were told before the stream came here. */
  numEvents: number;
  /** It has come to its end or failed. Its snapshots stay until the engine says that it knows: word of it may be lost. */
  isOver: boolean;
  readonly snapshots: StreamSnapshots;
}

const now = () => performance.now() / 1000;
const streams = new Map<number, Served>();
let outbox: ThreadReport[] = [];
let isDying = false;

function tell(report: ThreadReport): void {
  if (outbox.length === 0) setImmediate(flush);
  outbox.push(report);
}

function flush(): void {
  const reports = outbox;
  outbox = [];
  // What a thread that is about to end still finds, another one will find again.
  if (isDying) return;
  const places = reports.flatMap((report) => (report.kind === "saved" ? [report.place] : []));
  const blobs = places.flatMap((place) => (typeof place === "string" ? [] : [place.buffer as ArrayBuffer]));
  parentPort?.postMessage(reports, blobs);
}

/** Ends the thread: the engine moves its streams elsewhere. */
function die(error: unknown): void {
  isDying = true;
  setImmediate(() => {
    throw error;
  });
}

function tellEvent(stream: number, served: Served, event: StreamEvent): void {
  const last = outbox.at(-1);
  if (last?.kind === "events" && last.stream === stream) last.events.push(event);
  else tell({ kind: "events", stream, first: served.numEvents, events: [event] });
  served.numEvents++;
}

function open(engine: SpeechEngine, { stream, options, saved, numEvents }: Command<"open">): Served {
  const onEvent = (event: StreamEvent) => tellEvent(stream, served, event);
  const opened =
    typeof saved === "string"
      ? readSnapshot(stream, saved).then((blob) => engine.open(options, onEvent, blob))
      : engine.open(options, onEvent, saved);
  const served: Served = { opened, turn: opened, numEvents, isOver: false, snapshots: new StreamSnapshots(saved) };
  streams.set(stream, served);
  return served;
}

async function readSnapshot(stream: number, path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const text = `stream ${stream}: expected its snapshot, got ${(cause as Error).message}. Open another stream, and keep what cleans temporary files from those of processes that run.`;
    throw new SpeechError("RUNTIME_FAILED", text, { cause });
  }
}

/** Does what is asked of one stream. */
async function serve(command: StreamCommand, handle: SpeechStream, served: Served): Promise<void> {
  const { stream } = command;
  if (command.kind === "open") {
    tell({ kind: "opened", stream });
  } else if (command.kind === "feed") {
    await handle.feed(command.samples);
    tell({ kind: "fed", stream, end: command.end });
  } else if (command.kind === "save") {
    const blob = await handle.save();
    const { numEvents, snapshots } = served;
    // Nothing waits while it is written.
    void snapshots
      .put(blob, command.file)
      .then((place) => tell({ kind: "saved", stream, request: command.request, numEvents, place }));
  } else if (command.kind === "cut" || command.kind === "finish") {
    await (command.kind === "cut" ? handle.endUtterance() : handle.finish());
    served.isOver ||= command.kind === "finish";
    tell({ kind: "done", stream, request: command.request });
  }
}

function take(engine: SpeechEngine, command: StreamCommand): void {
  const { stream } = command;
  const served = command.kind === "open" ? open(engine, command) : streams.get(stream);
  if (!served) return;
  if (command.kind === "kept") served.snapshots.keep(command.file);
  else if (command.kind === "close") close(stream, served);
  else if (!served.isOver) queue(command, served);
}

/** Has it done when what was asked of the stream before is done. */
function queue(command: StreamCommand, served: Served): void {
  const done = served.turn.then(async () => serve(command, await served.opened, served));
  if (command.kind !== "feed") served.turn = done;
  done.catch((error) => {
    if (served.isOver) return;
    end(served);
    tell({ kind: "failed", stream: command.stream, error: packError(error) });
  });
}

/** Ends a stream of which the engine wants nothing more, and removes what was kept of it. */
function close(stream: number, served: Served): void {
  streams.delete(stream);
  served.snapshots.close();
  end(served);
}

function end(served: Served): void {
  if (served.isOver) return;
  served.isOver = true;
  served.opened.then((handle) => handle.close()).catch(() => {});
}

async function start(options: ThreadStart): Promise<void> {
  const { precision, numThreads, measures } = options;
  const runtime = gatedRuntime(nodeRuntime(), options.gate);
  const model = await openAnyModel(options.model, { precision, numThreads, runtime });
  const vad = options.vadFolder === undefined ? undefined : await openModel(options.vadFolder);
  const opened = await openSpeechSet(model, runtime, { ...options, vad, now });
  const costs = measures ? await opened.measureCosts() : [];
  const engine = createLocalEngine(opened, opened.set, {
    ...opened,
    onBatch: (report) => tell({ kind: "batch", report }),
    onFailure: die,
  });
  parentPort?.on("message", (commands: ThreadCommand[]) => {
    for (const command of commands) command.kind === "ping" ? tell({ kind: "pong" }) : take(engine, command);
  });
  tell({ kind: "ready", costs });
}

// A message that cannot be read leaves a stream without its sound: its thread ends, and the streams go on elsewhere.
parentPort?.on("messageerror", die);
start(workerData as ThreadStart).catch((error) => tell({ kind: "refused", error: packError(error) }));
