// Calls of two parties, one more every 50 ms, each in real time, until the engine takes no more; then they end.
// A line a second: calls, texts, share of a core for each second of sound, and how long after its sound a result came.
//   npm run sample:many [-- RECORDING OF TWO CHANNELS [MOST STREAMS]]
import { openEngine } from "@nemo-stt/node";
import { type ChannelAudioStream, createStereoFileAudioSource, type Item, transcribeCall } from "@nemo-stt/streams";

const [filename = "examples/audio/call-ulaw-8k.wav", most] = process.argv.slice(2);
const NEXT_MS = 50;
// Without a number the engine measures what the machine carries, and refuses what would be too much.
const engine = await openEngine(undefined, most === undefined ? {} : { maxStreams: Number(most) });
const calls = new Set<Promise<void>>();
let [numTexts, numDone, mostLive, refusal] = [0, 0, 0, ""];
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Lets each block through when its last sample was spoken. */
function paced() {
  const startedMs = performance.now();
  return new TransformStream<Item<ChannelAudioStream>, Item<ChannelAudioStream>>({
    async transform(item, controller) {
      if (item.kind === "tuple") {
        const { audioTimestamp, audioData, sampleRate } = item.tuple;
        const endMs = Number(audioTimestamp) + (audioData.length / 2 / sampleRate) * 1000;
        await wait(Math.max(0, startedMs + endMs - performance.now()));
      }
      controller.enqueue(item);
    },
  });
}

async function call(): Promise<void> {
  const { left, right } = createStereoFileAudioSource({ filename, blockSize: 3200 });
  const sides = [left, right].map((side) => side.pipeThrough(paced()));
  const onPartyFailed = (_: number, error: unknown) => {
    refusal = (error as Error).message;
  };
  for await (const item of transcribeCall(sides, { engine, onPartyFailed })) if (item.kind === "tuple") numTexts++;
  numDone++;
}

function row(): void {
  const { numStreams, realTimeFactor, modes } = engine.statistics();
  mostLive = Math.max(mostLive, Math.floor(numStreams / 2));
  const latency = (["p50", "p95"] as const).map((of) => `${((modes[0]?.latencySec[of] ?? 0) * 1000).toFixed(0)} ms`);
  const cells = [Math.floor(numStreams / 2), numTexts, realTimeFactor.toFixed(4), ...latency];
  console.log(cells.map((cell) => `${cell}`.padStart(10)).join(""));
}

console.log(["calls", "texts", "rtf", "p50", "p95"].map((head) => head.padStart(10)).join(""));
const timer = setInterval(row, 1000);
for (; refusal === ""; await wait(NEXT_MS)) calls.add(call());
await Promise.all(calls);
clearInterval(timer);
row();
console.log(`${mostLive} calls at a time, ${numDone} in all, ${numTexts} texts. ${refusal}`);
await engine.close();
