// The plan's phases 1 to 4: a model, the standalone test, what a real model shows, many files.
import { bundled, code, hasShared, nemoPython, output, plans, raw, shown, spoken, table, work } from "./shell.mjs";

export function exportPhase() {
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

export function standalonePhase() {
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

export function troublePhase() {
  const rows = [
    [
      "the Python environment cannot be repaired (a `huggingface_hub` conflict)",
      "none is needed: the checkpoint is read and the graphs are written in TypeScript",
      `${code("packages/core/test/checkpoint/nemo.test.ts")}, ${code("packages/cli/test/export.test.ts")}`,
    ],
    [
      "the download does not work; a container or a file that others exported in its place",
      "a file that is there already runs: `.nemo`, and ONNX as NeMo, sherpa-onnx or onnx-asr have it; no container is needed",
      code("packages/node/test/foreign/layouts.test.ts"),
    ],
    [
      "models without caches and models with them, CTC and transducers: a class for each",
      "one description of a model, from its checkpoint; heads and caches are parts of it",
      `${code("packages/core/test/config/describe.test.ts")}, ${code("packages/core/test/architectures/heads.test.ts")}`,
    ],
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
    [
      "words doubled, tails lost, when chunks are computed apart",
      "frames and caches go on from chunk to chunk: a stream has the words of the whole recording, in every latency mode",
      `${code("packages/core/test/features/stream.test.ts")}, \`npm run verify:streams\``,
    ],
    [
      "statistics made of constants",
      "every number comes from a clock or a count",
      code("packages/streams/test/operators/operators.test.ts"),
    ],
  ];
  return `## Phase 3: what the real model shows

${table(["expected or met by the plan", "how it is kept right", "test"], rows)}`;
}

export function filesPhase() {
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
