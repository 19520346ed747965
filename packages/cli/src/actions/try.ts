import {
  decodeRows,
  featureBatch,
  type GraphSession,
  type Head,
  type Recognizer,
  type Runtime,
  stepSec,
} from "@nemo-stt/core";
import { loadModel, nodeRuntime } from "@nemo-stt/node";
import type { TryFlags } from "../commands/try.ts";
import type { Console } from "../console.ts";
import { longFormNote } from "../messages.ts";
import { readRecording } from "./recordings.ts";

/** The standalone test: one text from one recording, with everything on the way when asked. */
export async function tryModel(flags: TryFlags, console: Console): Promise<void> {
  const note = (text: string) => {
    if (flags.verbose) console.err(text);
  };
  const graphs: GraphSession[] = [];
  const runtime = watched(nodeRuntime(), graphs);
  const [recognizer, loadMs] = await timed(() => loadModel(flags.nemoModel, { runtime, onWarning: console.err }));
  try {
    const rateHz = recognizer.spec.sampleRateHz;
    note(`model      ${recognizer.name} (${recognizer.spec.className}), loaded in ${loadMs.toFixed(0)} ms`);
    for (const [i, graph] of graphs.entries()) noteGraph(i, graph, note);
    const [recording, readMs] = await timed(() => readRecording(flags.audioFile, rateHz));
    for (const warning of recording.warnings) console.err(`${flags.audioFile}: ${warning}`);
    const [waveform] = recording.channels;
    const durationSec = waveform.length / rateHz;
    note(
      `audio      ${flags.audioFile}: ${durationSec.toFixed(2)} s, ${waveform.length} samples at ${rateHz} Hz, read in ${readMs.toFixed(0)} ms`,
    );
    const [[{ text, longForm }], totalMs] = await timed(() => recognizer.transcribe([waveform]));
    const windows = longFormNote(longForm, flags.verbose ?? false);
    if (windows) console.err(`${flags.audioFile}: ${windows}`);
    else if (flags.verbose) await noteStages(recognizer, waveform, note);
    const factor = `${(totalMs / 1000 / durationSec).toFixed(4)} (${((durationSec * 1000) / totalMs).toFixed(0)} × real time)`;
    note(`total      ${totalMs.toFixed(1)} ms for ${durationSec.toFixed(2)} s of sound: real-time factor ${factor}`);
    console.out(text);
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

/** Goes over the recording once more, stage by stage. */
async function noteStages(recognizer: Recognizer, waveform: Float32Array, note: (text: string) => void): Promise<void> {
  const { extractor, acoustic, spec } = recognizer;
  const [features, featuresMs] = await timed(async () => featureBatch(extractor, [waveform]));
  if (features.lengths[0] === 0) return note("features   none: it is shorter than one frame");
  note(`features   [${features.numMels} mel, ${features.numFrames} frame] in ${featuresMs.toFixed(1)} ms`);
  const [encoded, encoderMs] = await timed(() => acoustic.encode(features));
  // Graphs of other tools do not always show what their encoder gives.
  const size = encoded.encoded.length > 0 ? `${encoded.encoded.length / encoded.numSteps} model, ` : "";
  const stepMs = (stepSec(spec) * 1000).toFixed(0);
  note(`encoder    [${size}${encoded.numSteps} step] of ${stepMs} ms, in ${encoderMs.toFixed(1)} ms`);
  const heads: Head[] = [
    ...(spec.heads.ctc ? (["ctc"] as const) : []),
    ...(acoustic.networks ? (["transducer"] as const) : []),
  ];
  for (const head of heads) {
    const [[{ tokens }], headMs] = await timed(() => decodeRows(acoustic, head, encoded));
    note(`${head.padEnd(11)}${tokens.length} ${tokens.length === 1 ? "token" : "tokens"} in ${headMs.toFixed(1)} ms`);
  }
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  const result = await work();
  return [result, performance.now() - started];
}
