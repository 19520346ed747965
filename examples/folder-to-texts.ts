// A folder of recordings to a text for each; what is no recording is told by name, and the others go on.
//   npm run sample:folder [-- FOLDER [FOLDER OF TEXTS]]
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openAudio, openEngine } from "@nemo-stt/node";
import { createFileAudioSource, createNeMoSTT } from "@nemo-stt/streams";

const [folder = "examples/audio", texts = "out/texts"] = process.argv.slice(2);
const silent = { warn: () => {} };
const engine = await openEngine();
await mkdir(texts, { recursive: true });

/** Writes the text of one recording, a line for each utterance; gives the number of its words. */
async function transcribe(name: string): Promise<number> {
  const filename = join(folder, name);
  // FileAudioSource takes what it does not know for samples without a header: here everything has one.
  await (await openAudio(filename)).close();
  const recogniser = createNeMoSTT({ modelPath: "given", tokensPath: "none" }, { engine, ...silent });
  const lines: string[] = [];
  for await (const item of createFileAudioSource({ filename }, silent).pipeThrough(recogniser)) {
    if (item.kind === "tuple") lines.push(item.tuple.transcription);
  }
  await writeFile(join(texts, `${name}.txt`), lines.map((line) => `${line}\n`).join(""));
  return lines.join(" ").split(" ").filter(Boolean).length;
}

const names = (await readdir(folder)).filter((name) => !/\.(md|jsonl?|txt)$/.test(name)).sort();
let numFailed = 0;
// All at once: the engine shares its threads among the streams.
await Promise.all(
  names.map(async (name) => {
    try {
      console.log(`${name}: ${await transcribe(name)} words`);
    } catch (error) {
      numFailed++;
      console.error((error as Error).message);
    }
  }),
);
console.log(`${names.length - numFailed} of ${names.length} recordings, texts in ${texts}`);
await engine.close();
process.exitCode = numFailed > 0 ? 1 : 0;
