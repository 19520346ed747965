// Writes docs/work-plan.md: the original plan, phase by phase, as commands with the output that they really have.
//   npm run build && [NEMO_PYTHON=FOLDER] node tools/make-work-plan.mjs
// With the maintainers' reference folder beside the project the recordings are real speech from there; without it the
// project's own stand in, and what needs the others is left out. NEMO_PYTHON names the folder of a `python` that has NeMo,
// which then saves the plan's checkpoint itself; without it a checkpoint of ours stands in.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const work = "out/work-plan";
const hasShared = existsSync(join(root, "../shared/audio/manifest.json"));
const nemoPython = hasShared ? process.env.NEMO_PYTHON : undefined;
const bundled = "packages/node/models/nemo-stt-en-tiny.nemo";
const plans = `${work}/stt_en_conformer_ctc_small.nemo`;
const raw = hasShared ? "../shared/audio/misc/librispeech-1995-1837-0001.raw" : `${work}/morning-rms.raw`;
const spoken = hasShared
  ? "it was the first great sorrow of his life it was not so much the loss of the cotton itself but the fantasy the hopes the dreams built around it"
  : "he said that he would come back to the house in the morning it was a long time before any of them spoke again";

rmSync(join(root, work), { recursive: true, force: true });
mkdirSync(join(root, work), { recursive: true });

/** Runs a command line in the project's folder; the text of both outputs as a terminal shows them. */
function output(command, status = 0) {
  const environment = { ...process.env, NEMO_STT_CACHE: join(root, work, "cache"), npm_config_loglevel: "silent" };
  if (nemoPython) environment.PATH = `${nemoPython}:${process.env.PATH}`;
  const ran = spawnSync("bash", ["-c", `set -o pipefail; exec 2>&1; ${command}`], {
    cwd: root,
    env: environment,
    encoding: "utf8",
  });
  if (ran.status !== status)
    throw new Error(`${command}: expected status ${status}, got ${ran.status}:\n${ran.stdout}`);
  return ran.stdout.replaceAll(`${root}/`, "").trimEnd();
}

/** A block of commands, each with its output below it; a status that is not 0 is shown. */
function shown(...commands) {
  const parts = commands.map(([command, status = 0]) => {
    const text = output(command, status);
    return [`$ ${command}`, ...(text ? [text] : []), ...(status === 0 ? [] : [`[exit status ${status}]`])].join("\n");
  });
  return ["```", ...parts, "```"].join("\n");
}

/** A path as code, which must be there: a page cannot name a test that is gone. */
function code(path) {
  if (!existsSync(join(root, path))) throw new Error(`${path}: expected a file that the page names, got nothing.`);
  return `\`${path}\``;
}

const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

function exportPhase() {
  const makeCheckpoint = nemoPython
    ? `python ../shared/tools/make_nemo.py conformer-ctc-small ${plans} --text ../shared/text/librispeech-train-clean-100.txt 2> ${work}/nemo.log | tail -1`
    : `node bench/make-checkpoint.mjs conformer-ctc-small ${plans}`;
  const conformer = `${work}/conformer`;
  return `## Phase 1: a NeMo model as ONNX

The plan's model is \`stt_en_conformer_ctc_small\` (\`nemo-stt pull nvidia/stt_en_conformer_ctc_small\`). So that this page can be made without a download, its place is taken by a checkpoint of the same architecture and geometry with random weights, ${nemoPython ? "saved by NeMo itself" : "of NeMo's form, with characters for word pieces"}: names, shapes and sizes are those of the model, its texts are not. ${nemoPython ? "That is the only line that Python has a part in: the export" : "The export"} needs no Python environment, so there is none to repair.

${shown(
  [makeCheckpoint],
  [`npx nemo-stt inspect ${plans}`],
  [`npx nemo-stt export ${plans} ${conformer}/conformer_ctc.onnx --verbose`],
)}

The plan expected 40 to 50 MB: it is 13 million parameters of four bytes. The graph has no caches, as the model has full context and none. That ONNX Runtime takes the files and gives the checkpoint's text with them is tested for every layout (${code("packages/cli/test/export.test.ts")}), that sherpa-onnx reads them as they are in ${code("packages/node/test/foreign/sherpa.test.ts")}.`;
}

function standalonePhase() {
  if (!hasShared) output(`tail -c +45 examples/audio/morning-rms.wav > ${raw}`);
  const exported = `${work}/exported`;
  output(`npx nemo-stt export ${bundled} ${exported}`);
  const graph = `${exported}/conformer_hybrid.onnx`;
  const texts = [bundled, graph].map((model) => output(`./run_nemo_test.sh --nemo-model ${model} --audio-file ${raw}`));
  if (texts[0] !== texts[1] || texts[0] === "")
    throw new Error(`expected one text from both, got ${texts.join(" and ")}`);
  return `## Phase 2: the standalone test

A real model, trained and saved by NeMo (the bundled one), on ${hasShared ? "the original project's test recording, LibriSpeech 1995-1837-0001" : "a recording of our own"}, samples without a header. Spoken is: “${spoken}”.

${shown([`./run_nemo_test.sh --nemo-model ${bundled} --audio-file ${raw} --verbose`])}

The same from the exported ONNX file:

${shown([`./run_nemo_test.sh --nemo-model ${graph} --audio-file ${raw}`])}

The plan's architecture, exported in phase 1: what it costs. Its weights are random, and so is its text.

${shown([`./run_nemo_test.sh --nemo-model ${work}/conformer/conformer_ctc.onnx --audio-file ${raw} --verbose`])}

What is not there or is no sound ends in a sentence and a status, never in a text:

${shown(
  ["./run_nemo_test.sh", 64],
  [`./run_nemo_test.sh --nemo-model ${bundled} --audio-file missing.wav`, 66],
  [`./run_nemo_test.sh --nemo-model ${bundled} --audio-file README.md`, 65],
)}`;
}

function troublePhase() {
  const rows = [
    [
      "tensor names differ from what the code expects",
      "inputs and outputs are read from the graph, and known by what they are in NeMo's, sherpa-onnx's and onnx-asr's exports; a port that is missing is named together with those there are",
      code("packages/node/test/foreign/layouts.test.ts"),
    ],
    [
      "caches of the wrong shape, or never fed",
      "a model without caches has no such inputs; a streaming export is refused by its cache inputs, its `.nemo` runs in every context",
      code("packages/core/test/recognition/foreign.test.ts"),
    ],
    [
      "vocabulary, and the blank (taken for 0)",
      "both come from the checkpoint: WordPiece, SentencePiece, characters; blank is behind the last token",
      `${code("packages/core/test/tokenizer/tokenizers.test.ts")}, ${code("packages/core/test/decoding/ctc.test.ts")}`,
    ],
    [
      "WAV headers that are not 44 bytes",
      "chunks are walked, whatever stands before the samples",
      code("packages/core/test/audio/wav.test.ts"),
    ],
    [
      "µ-law and A-law came out as silence",
      "G.711 by its definition, every code; a call's two channels apart",
      code("packages/core/test/audio/pcm.test.ts"),
    ],
    [
      "pre-emphasis, window, normalisation",
      "the checkpoint's own, equal to NeMo's features within 2e-5",
      code("packages/core/test/features/nemo-reference.test.ts"),
    ],
    [
      "only the first 125 frames were heard",
      "every frame is, and of long recordings every window",
      `${code("packages/cli/test/stages.test.ts")}, ${code("packages/core/test/recognition/long-form.test.ts")}`,
    ],
  ];
  return `## Phase 3: what the real model shows

${table(["expected or met by the plan", "how it is kept right", "test"], rows)}`;
}

function filesPhase() {
  const folder = `${work}/recordings`;
  output(`mkdir -p ${folder} && cp examples/audio/*.wav ${folder}`);
  output(
    `echo 'not a recording' > ${folder}/broken.wav && head -c 100000 examples/audio/garden-slt.wav > ${folder}/cut.wav`,
  );
  const loop = `for f in ${folder}/*.wav; do ./run_nemo_test.sh --nemo-model ${bundled} --audio-file "$f" || echo "failed: $f"; done`;
  const batch = `npx nemo-stt transcribe ${folder} --out ${work}/texts`;
  const parts = [
    `## Phase 4: many files

The plan's loop. One of the files is no recording, one is cut off in the middle:

${shown([loop])}

One command does it with the model loaded once. An error stops its file only; what is done is not done again:

${shown([batch, 1], [`rm ${folder}/broken.wav`], [batch], [`head ${work}/texts/*.txt`])}

A call: each side for itself, in order of time.

${shown(["npx nemo-stt transcribe examples/audio/call-ulaw-8k.wav --channels split --format srt"])}`,
  ];
  if (hasShared) {
    parts.push(`Two hundred natural recordings that the small model never heard, with their word error rates:

${shown([`npx nemo-stt eval ../shared/audio/manifest.json --worst 0`], [`npx nemo-stt transcribe ../shared/audio/librispeech --verbose | wc -l`])}`);
  }
  parts.push(
    "The plan promised more than ten times real time; speed beside other programs is in [performance](performance.md).",
  );
  return parts.join("\n\n");
}

function documentsPhase() {
  const pages = ["architecture", "models", "export", "audio", "performance"];
  for (const page of pages) code(`docs/${page}.md`);
  return `## Phase 5: documents

How to start: [README](../README.md). ${pages.map((page) => `[${page}](${page}.md)`).join(" · ")}. \`npx nemo-stt COMMAND --help\` has examples.`;
}

function bans() {
  const rows = [
    [
      "no substitute for a real model and real data",
      `the models that come with it were trained and saved by NeMo, and the test that the script runs is of one of them: ${code("packages/cli/test/process.test.ts")}`,
    ],
    [
      "no mocks",
      `stage by stage against what NeMo computes: \`npm run verify:goldens\`; its texts against NeMo's: \`npm run verify:hypotheses\` (${code("tools/verify-hypotheses.mjs")})`,
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

const sections = [exportPhase, standalonePhase, troublePhase, filesPhase, documentsPhase, bans].map((make) => make());
const { version } = process;
const page = `# The plan, phase by phase

Made by \`node tools/make-work-plan.mjs\` (Node ${version.slice(1).split(".")[0]}): commands in the project's folder and what they print.

${sections.join("\n\n")}
`;
if (page.includes(root) || /\/(tmp|home|root)\//.test(page)) throw new Error("the page names a place of this machine");
const target = join(root, "docs/work-plan.md");
const before = existsSync(target) ? readFileSync(target, "utf8") : "";
writeFileSync(target, page);
console.log(`docs/work-plan.md: ${page.split("\n").length} lines${page === before ? ", as before" : ""}`);
