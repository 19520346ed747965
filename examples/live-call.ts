// A call as a telephone system delivers it: packets of 20 ms with both sides as µ-law, taken apart, recognised live, and
// put into one transcript with roles. AudioChannelSplitter → a stream for each side → one stream in the order of speaking.
//   npm run sample:call [-- RECORDING OF TWO CHANNELS [fast]]
import { encodeSamples } from "@nemo-stt/core";
import { openAudio, openEngine } from "@nemo-stt/node";
import { createAudioChannelSplitter, FINAL_MARK, type StereoTuple, transcribeCall, tupleItem } from "@nemo-stt/streams";

const [recording = "examples/audio/call-ulaw-8k.wav", speed = "live"] = process.argv.slice(2);
const PACKET_MS = 20;
const engine = await openEngine();
const audio = await openAudio(recording);
const splitter = createAudioChannelSplitter({
  encoding: "ulaw",
  sampleRate: audio.sampleRateHz,
  leftChannelRole: "caller",
  rightChannelRole: "agent",
});

/** The recording in packets, each when its last sample was spoken. */
async function* packets(): AsyncGenerator<StereoTuple> {
  const startedMs = performance.now();
  const size = (audio.sampleRateHz * PACKET_MS) / 1000;
  let sample = 0;
  for await (const block of audio.blocks()) {
    for (let at = 0; at < block[0].length; at += size) {
      const sides = block.map((side) => side.subarray(at, at + size));
      const timeMs = (sample * 1000) / audio.sampleRateHz;
      sample += sides[0].length;
      const waitMs = startedMs + timeMs + PACKET_MS - performance.now();
      if (speed !== "fast" && waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      yield { audioData: encodeSamples(sides, "ulaw"), audioTimestamp: BigInt(Math.round(timeMs)) };
    }
  }
}

async function deliver() {
  const line = splitter.writable.getWriter();
  for await (const packet of packets()) await line.write(tupleItem(packet));
  await line.write(FINAL_MARK);
}

const delivered = deliver();
const isTerminal = process.stderr.isTTY;
// Nobody waits for what is not live: then the order of speaking is worth any wait.
const patience = speed === "fast" ? { maxWaitMs: Number.POSITIVE_INFINITY } : {};
const options = { engine, hasInterims: isTerminal, ...patience };
for await (const item of transcribeCall([splitter.left, splitter.right], options)) {
  if (item.kind !== "tuple") continue;
  const { text, isFinal, channelInfo, startTime, endTime } = item.tuple;
  const line = `${(Number(startTime) / 1000).toFixed(1).padStart(6)}–${(Number(endTime) / 1000).toFixed(1)}  ${channelInfo.channelRole}: ${text}`;
  if (isTerminal) process.stderr.write(`\r\x1b[K${isFinal ? "" : `\x1b[2m${line.slice(0, 100)}\x1b[0m`}`);
  if (isFinal) console.log(line);
}
await delivered;
await audio.close();
await engine.close();
