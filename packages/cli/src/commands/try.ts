import { computeStages, type GraphSession, type Recognizer, type Runtime, stepSec } from "@nemo-stt/core";
import { loadModel, nodeRuntime } from "@nemo-stt/node";
import type { Command } from "commander";
import { readRecording } from "../audio-files.ts";
import type { Console } from "../console.ts";

/** `nemo-stt try --nemo-model M --audio-file A`: the standalone test. */
export function registerTry(program: Command, console: Console): void {
  program
    .command("try")
    .description("The standalone test: one model, one recording, one text; --verbose shows every stage.")
    .requiredOption("--nemo-model <model>", ".nemo file, exported folder, .onnx with tokens beside it, or pulled name")
    .requiredOption("--audio-file <audio>", "WAV, FLAC, …, or samples without a header (.raw: s16le, 16 kHz, mono)")
    .option("--verbose", "tensor names and shapes, time of every stage, real-time factor")
    .action(async (flags: { nemoModel: string; audioFile: string; verbose?: boolean }) => runTry(flags, console));
}

async function runTry(
  flags: { nemoModel: string; audioFile: string; verbose?: boolean },
  console: Console,
): Promise<void> {
  const note = (text: string) => {
    if (flags.verbose) console.err(text);
  };
  const graphs: GraphSession[] = [];
  const [recognizer, loadMs] = await timed(() =>
    loadModel(flags.nemoModel, { runtime: watched(nodeRuntime(), graphs) }),
  );
  try {
    note(`model      ${recognizer.name} (${recognizer.spec.className}), loaded in ${loadMs.toFixed(0)} ms`);
    for (const [i, graph] of graphs.entries()) noteGraph(i, graph, note);
    const [recording, readMs] = await timed(() => readRecording(flags.audioFile, recognizer.spec.sampleRateHz));
    for (const warning of recording.warnings) console.err(`${flags.audioFile}: ${warning}`);
    const [waveform] = recording.channels;
    const durationSec = waveform.length / recognizer.spec.sampleRateHz;
    note(
      `audio      ${flags.audioFile}: ${durationSec.toFixed(2)} s, ${waveform.length} samples at ${recognizer.spec.sampleRateHz} Hz, read in ${readMs.toFixed(0)} ms`,
    );
    if (flags.verbose) await noteStages(recognizer, waveform, note);
    const [results, totalMs] = await timed(() => recognizer.transcribe([waveform]));
    note(
      `total      ${totalMs.toFixed(1)} ms for ${durationSec.toFixed(2)} s of sound: real-time factor ${(totalMs / 1000 / durationSec).toFixed(4)}`,
    );
    console.out(results[0].text);
  } finally {
    await recognizer.close();
  }
}

/** A runtime whose graphs are remembered, to show their inputs and outputs. */
function watched(runtime: Runtime, graphs: GraphSession[]): Runtime {
  return {
    name: runtime.name,
    async load(location, options) {
      const graph = await runtime.load(location, options);
      graphs.push(graph);
      return graph;
    },
  };
}

function noteGraph(index: number, graph: GraphSession, note: (text: string) => void): void {
  const port = ({ name, type, dims }: GraphSession["inputs"][number]) =>
    `${name} ${type} [${dims.map((d) => (d < 0 ? "?" : d)).join(", ")}]`;
  note(`graph ${index + 1}    in  ${graph.inputs.map(port).join(", ")}`);
  note(`           out ${graph.outputs.map(port).join(", ")}`);
}

async function noteStages(recognizer: Recognizer, waveform: Float32Array, note: (text: string) => void): Promise<void> {
  const { extractor, acoustic, spec } = recognizer;
  const [features, featuresMs] = await timed(async () => extractor.extract(waveform));
  note(`features   [${features.numMels} mel, ${features.numFrames} frame] in ${featuresMs.toFixed(1)} ms`);
  const [{ encoded, hypotheses }, restMs] = await timed(() => computeStages(acoustic, extractor, [waveform]));
  const size = encoded.numSteps > 0 ? encoded.encoded.length / encoded.numSteps : 0;
  note(`encoder    [${size} model, ${encoded.numSteps} step of ${(stepSec(spec) * 1000).toFixed(0)} ms]`);
  for (const [head, [hypothesis]] of Object.entries(hypotheses))
    note(`${head.padEnd(11)}${hypothesis.tokens.length} tokens`);
  note(`stages     features, encoder and every head in ${restMs.toFixed(1)} ms`);
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const value = await work();
  return [value, performance.now() - start];
}
