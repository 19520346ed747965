// A call's text must not depend on how its sound comes: in blocks of 1 byte, odd sizes or 10 s, through the operators, through
// the gateway, or from `transcribe --channels split`.
//   npm run build && node tools/verify-call.mjs [CALL.wav] [--att-context L,R] [--sizes 1,7,1999,160000]
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeSamples } from "@nemo-stt/core";
import { openAudio, openEngine } from "@nemo-stt/node";
import {
  createAudioChannelSplitter,
  FINAL_MARK,
  SttSession,
  startGateway,
  transcribeCall,
  tupleItem,
} from "@nemo-stt/streams";

const root = join(import.meta.dirname, "..");
const shared = join(root, "../shared/audio/call/two-party-ulaw-8k.wav");
const { values: flags, positionals } = parseArgs({
  options: { "att-context": { type: "string" }, sizes: { type: "string", default: "1,7,1999,160000" } },
  allowPositionals: true,
});
const path = positionals[0] ?? (existsSync(shared) ? shared : join(root, "examples/audio/call-ulaw-8k.wav"));
const attContext = flags["att-context"]?.split(",").map(Number);
const SIZES = flags.sizes.split(",").map(Number);

function fromCommand() {
  const cli = join(root, "packages/cli/bin/nemo-stt.mjs");
  const context = attContext ? ["--att-context", attContext.join(",")] : [];
  const out = execFileSync(process.execPath, [
    cli,
    "transcribe",
    path,
    "--channels",
    "split",
    "--format",
    "json",
    ...context,
  ]);
  return JSON.parse(out.toString()).channels.map(({ text }) => text);
}

async function throughOperators(engine, sides, size) {
  const bytes = encodeSamples(sides, "ulaw");
  const splitter = createAudioChannelSplitter({ encoding: "ulaw" }, { warn() {} });
  let at = 0;
  const input = new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) {
        controller.enqueue(FINAL_MARK);
        controller.close();
        return;
      }
      const audioTimestamp = BigInt(Math.round(at / 16));
      controller.enqueue(tupleItem({ audioData: bytes.subarray(at, at + size), audioTimestamp }));
      at += size;
    },
  });
  const texts = [[], []];
  const merged = transcribeCall([splitter.left, splitter.right], { engine, attContext });
  const reading = (async () => {
    for await (const item of merged)
      if (item.kind === "tuple") texts[item.tuple.channelInfo.channelNumber].push(item.tuple.text);
  })();
  await Promise.all([reading, input.pipeTo(splitter.writable)]);
  return texts.map((party) => party.join(" "));
}

async function throughGateway(engine, sides, size) {
  const log = { info() {}, warn: console.error, error: console.error };
  const gateway = await startGateway({ engine, attContext, audioPort: 0, textPorts: [{ port: 0 }], log });
  const ports = { audio: { port: gateway.audioPort }, text: { port: gateway.textPorts[0] } };
  const texts = await Promise.all(
    sides.map(async (side, channel) => {
      const said = [];
      const options = `encoding=ulaw&sampleRate=8000&call=verify&parties=2&channel=${channel}`;
      const onItem = (item) => item.kind === "tuple" && item.tuple.isFinal && said.push(item.tuple.text);
      const session = new SttSession({ name: `verify-${channel}@${size}`, options, ...ports, onItem });
      const bytes = encodeSamples([side], "ulaw");
      for (let at = 0; at < bytes.length; at += size) await session.submit(bytes.subarray(at, at + size), at / 8);
      await session.submitFinal();
      await session.done;
      return said.join(" ");
    }),
  );
  await gateway.close();
  return texts;
}

/** Without blanks: a word that an utterance's end cuts comes in two finals. */
function compare(texts, expected) {
  const letters = (text) => text.replaceAll(" ", "");
  const isSame = texts.every((text, i) => letters(text) === letters(expected[i]));
  return [isSame, texts.reduce((sum, text, i) => sum + text.length - expected[i].length, 0)];
}

const engine = await openEngine(undefined, { maxStreams: 16 });
try {
  const audio = await openAudio(path);
  const sides = await audio.channels();
  await audio.close();
  const expected = fromCommand();
  console.log(`transcribe --channels split: ${expected.map((text) => `${text.split(" ").length} words`).join(", ")}`);
  for (const [name, way] of [
    ["operators", throughOperators],
    ["gateway", throughGateway],
  ])
    for (const size of SIZES) {
      const startMs = performance.now();
      const texts = await way(engine, sides, size);
      const [isSame, numCut] = compare(texts, expected);
      if (!isSame) process.exitCode = 1;
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      const cut = numCut > 0 ? `, ${numCut} words cut by the end of an utterance` : "";
      console.log(
        `${name}, blocks of ${size} bytes: ${isSame ? "the same text" : "another text"}${cut} (${seconds} s)`,
      );
      if (!isSame) for (const [i, text] of texts.entries()) console.log(`expected ${expected[i]}\ngot      ${text}`);
    }
} finally {
  await engine.close();
}
