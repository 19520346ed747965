// Goes on with a saved stream in a process of its own: `state` and `rest` of a folder; prints the events as JSON.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openEngine } from "@nemo-stt/node";

const [folder] = process.argv.slice(2);
const rest = await readFile(join(folder, "rest"));
const engine = await openEngine(undefined, { numWorkers: 1, maxStreams: 1 });
const events = [];
const stream = await engine.open({}, (event) => events.push(event), await readFile(join(folder, "state")));
await stream.feed(new Float32Array(rest.buffer.slice(rest.byteOffset, rest.byteOffset + rest.byteLength)));
await stream.finish();
await engine.close();
console.log(JSON.stringify(events));
