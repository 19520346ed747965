// A call's text must not depend on how its sound comes: in blocks of 1 byte, odd sizes or 10 s, in any encoding, both sides
// taking turns or one behind the other, through the operators, through the gateway, or from `transcribe --channels split`
// of a file in that encoding. (A-law and 8-bit samples of a µ-law call are other samples: their text is compared with theirs.)
//   npm run build && node tools/verify-call.mjs [CALL.wav] [--att-context L,R] [--sizes 1,7,1999,160000]
//     [--encodings ulaw,pcm16,alaw,pcm8]
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeSamples } from "@nemo-stt/core";
import { openAudio, openEngine } from "@nemo-stt/node";
import {
  createAudioChannelSplitter,
  ENCODINGS,
  FINAL_MARK,
  SttSession,
  startGateway,
  transcribeCall,
  tupleItem,
} from "@nemo-stt/streams";

const root = join(import.meta.dirname, "..");
const shared = join(root, "../shared/audio/call/two-party-ulaw-8k.wav");
const { values: flags, positionals } = parseArgs({
  options: {
    "att-context": { type: "string" },
    sizes: { type: "string", default: "1,7,1999,160000" },
    encodings: { type: "string", default: "ulaw,pcm16,alaw,pcm8" },
  },
  allowPositionals: true,
});
const path = positionals[0] ?? (existsSync(shared) ? shared : join(root, "examples/audio/call-ulaw-8k.wav"));
const attContext = flags["att-context"]?.split(",").map(Number);
const SIZES = flags.sizes.split(",").map(Number);
const ENCODING_NAMES = flags.encodings.split(",");
/** For the encodings after the first. */
const USUAL_SIZE = 1999;

/** What the command says of the call as samples of an encoding. */
function fromCommand(sides, encoding) {
  const path = join(folder, `${encoding}.raw`);
  writeFileSync(path, encodeSamples(sides, ENCODINGS[encoding]));
  const cli = join(root, "packages/cli/bin/nemo-stt.mjs");
  const context = attContext ? ["--att-context", attContext.join(",")] : [];
  const raw = ["--raw-encoding", ENCODINGS[encoding], "--raw-rate", `${RATE}`, "--raw-channels", "2"];
  const what = ["--channels", "split", "--format", "json"];
  const out = execFileSync(process.execPath, [cli, "transcribe", path, ...raw, ...what, ...context]);
  return JSON.parse(out.toString()).channels.map(({ text }) => text);
}

/** Blocks of a layout, with the time of each. */
function* blocksOf(sides, size, encoding, stereoFormat) {
  const kind = ENCODINGS[encoding];
  const bytes = encodeSamples(sides, kind);
  const bytesPerMs = bytes.length / sides[0].length / (1000 / RATE);
  const halves = sides.map((side) => encodeSamples([side], kind));
  const step = stereoFormat === "interleaved" ? size : Math.ceil(size / 2);
  const end = stereoFormat === "interleaved" ? bytes.length : halves[0].length;
  for (let at = 0; at < end; at += step) {
    const audioData =
      stereoFormat === "interleaved"
        ? bytes.subarray(at, at + step)
        : Buffer.concat(halves.map((half) => half.subarray(at, at + step)));
    const doneBytes = stereoFormat === "interleaved" ? at : 2 * at;
    yield tupleItem({ audioData, audioTimestamp: BigInt(Math.round(doneBytes / bytesPerMs)) });
  }
}

async function throughOperators(engine, sides, size, encoding, stereoFormat = "interleaved") {
  const splitter = createAudioChannelSplitter({ encoding, stereoFormat, sampleRate: RATE }, { warn() {} });
  const blocks = blocksOf(sides, size, encoding, stereoFormat);
  const input = new ReadableStream({
    pull(controller) {
      const { value = FINAL_MARK, done } = blocks.next();
      controller.enqueue(value);
      if (done) controller.close();
    },
  });
  const texts = ["", ""];
  const merged = transcribeCall([splitter.left, splitter.right], { engine, attContext });
  const reading = (async () => {
    for await (const item of merged) {
      if (item.kind !== "tuple") continue;
      const { text, joinsPrevious, channelInfo } = item.tuple;
      const party = channelInfo.channelNumber;
      texts[party] += texts[party] === "" || joinsPrevious ? text : ` ${text}`;
    }
  })();
  await Promise.all([reading, input.pipeTo(splitter.writable)]);
  return texts;
}

async function throughGateway(engine, sides, size, encoding) {
  const log = { info() {}, warn: console.error, error: console.error };
  const gateway = await startGateway({ engine, attContext, audioPort: 0, textPorts: [{ port: 0 }], log });
  const ports = { audio: { port: gateway.audioPort }, text: { port: gateway.textPorts[0] } };
  const texts = await Promise.all(
    sides.map(async (side, channel) => {
      const said = [];
      const options = `encoding=${encoding}&sampleRate=${RATE}&call=verify&parties=2&channel=${channel}`;
      const onItem = (item) => item.kind === "tuple" && item.tuple.isFinal && said.push(item.tuple.text);
      const session = new SttSession({ name: `verify-${channel}@${size}`, options, ...ports, onItem });
      const bytes = encodeSamples([side], ENCODINGS[encoding]);
      const bytesPerMs = (bytes.length / side.length) * (RATE / 1000);
      for (let at = 0; at < bytes.length; at += size)
        await session.submit(bytes.subarray(at, at + size), at / bytesPerMs);
      await session.submitFinal();
      await session.done;
      return said.join(" ");
    }),
  );
  await gateway.close();
  return texts;
}

/**
 * Operators say where a final goes on inside a word; the records on the wire have no field for it, so that what came through
 * the gateway is compared without blanks, and the words that were cut are counted.
 */
function compare(way, texts, expected) {
  const said = way === throughGateway ? (text) => text.replaceAll(" ", "") : (text) => text;
  const isSame = texts.every((text, i) => said(text) === said(expected[i]));
  return [isSame, texts.reduce((sum, text, i) => sum + text.length - expected[i].length, 0)];
}

async function check(name, way, size, encoding, expected) {
  const startMs = performance.now();
  const texts = await way(engine, sides, size, encoding);
  const [isSame, numCut] = compare(way, texts, expected);
  if (!isSame) process.exitCode = 1;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const cut = numCut > 0 ? `, ${numCut} words cut by the end of an utterance` : "";
  console.log(
    `${name}, ${encoding}, blocks of ${size} bytes: ${isSame ? "the same text" : "another text"}${cut} (${seconds} s)`,
  );
  if (!isSame) for (const [i, text] of texts.entries()) console.log(`expected ${expected[i]}\ngot      ${text}`);
}

const audio = await openAudio(path);
const sides = await audio.channels();
const RATE = audio.sampleRateHz;
await audio.close();
const folder = mkdtempSync(join(tmpdir(), "nemo-stt-call-"));
const engine = await openEngine(undefined, { maxStreams: 16 });
try {
  for (const [i, encoding] of ENCODING_NAMES.entries()) {
    const expected = fromCommand(sides, encoding);
    const numWords = expected.map((text) => `${text.split(" ").length} words`).join(", ");
    console.log(`transcribe --channels split, ${encoding}: ${numWords}`);
    const nonInterleaved = (...given) => throughOperators(...given, "nonInterleaved");
    const ways = [
      ["operators", throughOperators],
      ["operators, nonInterleaved", nonInterleaved],
      ["gateway", throughGateway],
    ];
    for (const [name, way] of ways)
      for (const size of i === 0 ? SIZES : [USUAL_SIZE]) await check(name, way, size, encoding, expected);
  }
} finally {
  await engine.close();
  rmSync(folder, { recursive: true });
}
