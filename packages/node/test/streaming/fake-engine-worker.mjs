// A thread of an engine without a model. What it does with a stream stands in the stream's first sample:
// 0.25 never takes sound in, 0.5 ends the thread; any other is taken in at once. Every packet of others is an event.
import { parentPort } from "node:worker_threads";

const cost = { chunkSec: 0.08, batchSec: 0.002, rowSec: 0.008, maxRows: 32 };
const costs = [0, 1, 6, 13].map((right) => ({ ...cost, attContext: [70, right], chunkSec: 0.08 * (right + 1) }));
const numEvents = new Map();
parentPort.postMessage([{ kind: "ready", costs }]);

function answer({ kind, stream, end, samples, request, numEvents: first }) {
  if (kind === "open") {
    numEvents.set(stream, first);
    return [{ kind: "opened", stream }];
  }
  if (kind === "feed") {
    if (samples[0] === 0.25) return [];
    if (samples[0] === 0.5) process.exit(7);
    const number = numEvents.get(stream);
    numEvents.set(stream, number + 1);
    const event = { type: "interim", utterance: 0, text: `${end}`, stableText: "", words: [], heardSec: 0 };
    return [
      { kind: "events", stream, first: number, events: [event] },
      { kind: "fed", stream, end },
    ];
  }
  if (kind === "save") {
    return [{ kind: "saved", stream, request, numEvents: numEvents.get(stream), place: new Uint8Array(8) }];
  }
  return kind === "close" ? [] : [{ kind: "done", stream, request }];
}

parentPort.on("message", (commands) => parentPort.postMessage(commands.flatMap(answer)));
