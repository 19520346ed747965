// What came of the plan: its documents, its criteria of success, what it promised in numbers, what it forbids.
import { bundled, code, hasShared, raw, shown, spoken, table, work } from "./shell.mjs";

/** The plan's last phase. */
export function documentsPhase() {
  const pages = ["architecture", "models", "export", "audio", "confidence", "streaming", "streams", "performance"];
  for (const page of pages) code(`docs/${page}.md`);
  return `## Phase 5: documents

How to start: [README](../README.md). ${pages.map((page) => `[${page}](${page}.md)`).join(" · ")}. \`npx nemo-stt COMMAND --help\` has examples, and \`examples/\` has [samples](streams.md#samples) for TypeScript and SPL, each started by one command.`;
}

/** The plan's four criteria, each with a command that shows it. */
export function criteria() {
  const test = `./run_nemo_test.sh --nemo-model ${bundled} --audio-file ${raw}`;
  const parts = [
    `## Criteria of success

**1. A NeMo model was exported to ONNX.** The plan's in phase 1; a trained one here, and its text from the exported files:

${shown(
  [`npx nemo-stt export ${bundled} ${work}/again`],
  [`npx nemo-stt transcribe --model ${work}/again examples/audio/garden-slt.wav`],
)}

**2. The standalone test runs without crashing.**

${shown([`${test} > ${work}/text.txt; echo "status $?"`])}

**3. Real transcription appears, even if inaccurate.** Spoken is: “${spoken}”.

${shown([`cat ${work}/text.txt`])}`,
  ];
  if (hasShared) {
    parts.push(`Ours is a higher bar, NeMo's own text: 202 recordings, four contexts, both heads. Where a text differs the command says why; what it cannot explain fails it.

${shown(["npm run --silent verify:hypotheses | tail -1"])}`);
  }
  parts.push(`**4. The whole way is documented.** And the documents print what the commands print:

${shown(["npm run --silent start"], ["node tools/make-readme.mjs --check && node tools/make-streams-doc.mjs --check && echo documents are current"])}`);
  return parts.join("\n\n");
}

/** A number that a command printed. */
function numberIn(text, pattern) {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`expected ${pattern} in what was printed, got:\n${text}`);
  return Number(found);
}

/** The numbers that the plan promised, beside measured ones: the table is read off what the commands printed. */
export function promises() {
  const live = shown(["npx nemo-stt stream examples/audio/morning-rms.wav --latency 160ms --realtime | tail -1"]);
  const preload = "NODE_OPTIONS=--import=./bench/peak-memory.mjs";
  const whole = shown([
    `${preload} node packages/cli/dist/bin.js stream examples/audio/morning-rms.wav --latency 160ms | tail -2`,
  ]);
  const factor = numberIn(whole, /real-time factor ([\d.]+)/);
  const speed = numberIn(whole, /(\d+) × real time/);
  const [median, late] = [numberIn(live, /latency ([\d.]+) ms/), numberIn(live, /p99 ([\d.]+) ms/)];
  const megabytes = Math.round(numberIn(whole, /peakBytes (\d+)/) / 1e6);
  const kept = (isKept, text) => `${isKept ? "kept" : "not kept"}: ${text}`;
  const rows = [
    ["< 50 ms for a chunk of 160 ms", kept(factor * 160 < 50, `${(factor * 160).toFixed(1)} ms of work for a chunk`)],
    ["> 10 × real time", kept(speed > 10, `${speed} ×, by the wall's clock`)],
    ["< 500 MB of memory", kept(megabytes < 500, `${megabytes} MB, the peak of the process`)],
    [
      "excellent below 150 ms, poor above 500 ms",
      `a chunk is 160 ms (80 ms in the fastest mode); its text came ${median} ms after it, 99 of 100 within ${late} ms`,
    ],
    [
      "> 95 % of the words on clean speech",
      `a matter of a model's weights. The small bundled one does not (${hasShared ? "phase 4" : "its card"}); what is to be shown here is that texts are NeMo's own`,
    ],
  ];
  return `## What the plan promised in numbers

On the machine that made this page, while others worked on it:

${live}

${whole}

${table(["promise", "measured"], rows)}`;
}

/** What the plan forbids, and what keeps each. */
export function bans() {
  const rows = [
    [
      "no substitute for a real model and real data",
      `the models that come with it were trained and saved by NeMo, and the test that the script runs is of one of them: ${code("packages/cli/test/process.test.ts")}`,
    ],
    [
      "no mocks",
      `stage by stage against what NeMo computes: \`npm run verify:goldens\`; its texts against NeMo's: \`npm run verify:hypotheses\` (${code("tools/verify-hypotheses.mjs")}). Tests of the transport run on an engine that hashes sound, so that no lost sample is overlooked; what is said of recognition in Streams is tested with the bundled model: ${code("packages/streams/test/real-engine.test.ts")}`,
    ],
    [
      "nothing skipped",
      `a file that is not read, a part of a model that is not known and a comparison that finds nothing to compare are errors: ${code("packages/cli/test/stages.test.ts")}, ${code("packages/core/test/config/describe.test.ts")}`,
    ],
    [
      "no other architecture in its place",
      `graphs are built from the checkpoint's own description and tensors; models that are not supported are refused by name: ${code("packages/core/test/config/catalogue.test.ts")}`,
    ],
  ];
  return `## What the plan forbids

${table(["ban", "what keeps it"], rows)}`;
}
