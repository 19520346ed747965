// Compares our texts with NeMo's own for the bundled English model: every recording of a manifest, every context, both
// heads. Needs the maintainers' reference folder beside the project; without it says so and does nothing.
//   npm run verify:hypotheses
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { featureBatch } from "@nemo-stt/core";
import { loadModel, openAudio, toModelInput } from "@nemo-stt/node";

const shared = join(import.meta.dirname, "..", "..", "shared");
const manifest = join(shared, "audio", "manifest.json");
if (!existsSync(manifest)) {
  console.log("skipped: needs ../shared with audio/manifest.json and model/nemo_hypotheses.json");
  process.exit(0);
}
const expected = JSON.parse(readFileSync(join(shared, "model", "nemo_hypotheses.json"), "utf8"));
const names = readFileSync(manifest, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line).audio_filepath);
const recognizer = await loadModel();
const waveforms = await Promise.all(names.map(read));
let numDifferent = 0;
let numUnexplained = 0;
for (const [key, texts] of Object.entries(expected)) {
  const [context, kind] = key.split(" ");
  const attContext = context.split(",").map(Number);
  const head = kind === "ctc" ? "ctc" : "transducer";
  const results = await recognizer.transcribe(waveforms, { attContext, head });
  const different = names.flatMap((name, i) => (results[i].text === texts[name] ? [] : [i]));
  numDifferent += different.length;
  console.log(`[${context}] ${head}: ${names.length - different.length} of ${names.length} texts equal`);
  for (const i of different) {
    const reason = head === "ctc" ? await explain(waveforms[i], attContext, texts[names[i]]) : undefined;
    if (!reason) numUnexplained++;
    console.log(
      `  ${names[i]}\n    NeMo ${texts[names[i]]}\n    ours ${results[i].text}\n    ${reason ?? "unexplained"}`,
    );
  }
}
await recognizer.close();
console.log(`${numDifferent} differences, ${numUnexplained} unexplained`);
process.exitCode = numUnexplained > 0 ? 1 : 0;

async function read(name) {
  const audio = await openAudio(join(dirname(manifest), name));
  try {
    return (await toModelInput(audio, recognizer.spec.sampleRateHz))[0];
  } finally {
    await audio.close();
  }
}

/**
 * The reference texts of the CTC head are not what NeMo prints but `ids_to_text` of an argmax over the whole width of the
 * matrix: without NeMo's rule that takes spaces before punctuation, and with one step more than the recording has where
 * the zero column that NeMo's features end with completes a step.
 */
async function explain(waveform, attContext, text) {
  const { numSteps, lengths, logProbs } = await recognizer.acoustic.encode(
    featureBatch(recognizer.extractor, [waveform]),
    attContext,
  );
  if (decodeSteps(logProbs, numSteps, lengths[0]) === text)
    return "equal before NeMo's rule for spaces before punctuation";
  if (numSteps > lengths[0] && decodeSteps(logProbs, numSteps, numSteps) === text) {
    return `equal when the padding step after the recording's end (step ${lengths[0]}) is decoded too`;
  }
  return undefined;
}

function decodeSteps(logProbs, numSteps, endStep) {
  const numClasses = logProbs.length / numSteps;
  const tokens = [];
  let previous = numClasses - 1;
  for (let s = 0; s < endStep; s++) {
    const row = logProbs.subarray(s * numClasses, (s + 1) * numClasses);
    const best = row.indexOf(Math.max(...row));
    if (best !== previous && best !== numClasses - 1) tokens.push(best);
    previous = best;
  }
  return recognizer.tokenizer.decode(tokens);
}
