// The rest of phase 4: the SPL application, and streaming performance.
import { code, shown } from "./shell.mjs";

const SPL = "streams/samples/com.teracloud.streamsx.stt.sample";
/** Ports that a gateway of somebody else hardly has. */
const PORTS = { audio: 5611, text: 5612, http: 5613 };

/** SPL applications, many calls, and what live sound costs. */
export function streamingPhase() {
  const { audio, text, http } = PORTS;
  const gateway = `node_modules/.bin/nemo-stt gateway --audio-port ${audio} --text-port ${text} --http-port ${http}`;
  const ready = `until npx nemo-stt calls --http-port ${http} > out/work-plan/page 2> out/work-plan/none; do sleep 1; done`;
  const replay = `npx nemo-stt replay examples/audio/call-ulaw-8k.wav --audio-port ${audio} --text-port ${text}`;
  for (const name of ["FileToText", "FolderToTexts", "TwoPartyCall", "ManyCalls", "Microphone"])
    code(`${SPL}/${name}.spl`);
  return `## Phase 4, continued: the SPL application, streaming performance

The SPL sample is an application over the toolkit of composites, and the model runs in the gateway. The applications were compiled and run by the compiler and runtime of the open-source Streams 6.0: [what was, and what was not](streams.md#what-was-compiled-and-run-and-by-what). No Streams is needed for what this page runs: a checker of our own reads every SPL source, and \`replay\` sends what an application sends.

${shown(["npm run --silent check:spl"], [`${gateway} & ${ready}; ${replay}; kill %1; wait`])}

The same call through the operators in one process, as live sound in packets of 20 ms:

${shown(["node examples/dist/live-call.js"])}

Four calls of two parties at a time, in real time; of the table the last rows:

${shown(["node examples/dist/many-calls.js examples/audio/call-ulaw-8k.wav 8 | tail -4"])}

How many streams a core carries, in each latency mode and beside other programs: [performance](performance.md). That streams have the words of \`transcribe\`: [streaming](streaming.md#latency-modes). Fifty calls whose connections are cut at random lose and double nothing: ${code("packages/streams/test/gateway/many-calls.test.ts")}.`;
}
