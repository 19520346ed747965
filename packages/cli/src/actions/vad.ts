import {
  type AcousticModel,
  type ClassifiedRecording,
  classifyRecordings,
  classifyWindows,
  isSpeechError,
  type ModelPackage,
  openAcousticModel,
  speechSegments,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openModel } from "@nemo-stt/node";
import type { VadFlags } from "../commands/vad.ts";
import type { Console } from "../console.ts";
import { throwIfFailed } from "../failures.ts";
import { errorText, printable } from "../messages.ts";
import { listRecordings, type NamedRecording, readWaveform } from "./recordings.ts";

/** Finds speech in recordings, or classifies them; an error of one leaves the others. */
export async function detect(paths: readonly string[], flags: VadFlags, console: Console): Promise<void> {
  const recordings = await listRecordings(paths);
  const model = await openModel(flags.model ?? BUNDLED_MODELS.vad);
  const acoustic = await openAcousticModel(model, nodeRuntime());
  const errors: Error[] = [];
  try {
    for (const recording of recordings) {
      const name = recording.path === "-" ? "stdin" : recording.path;
      try {
        const answer = await answerFor(recording, model, acoustic, flags, console);
        if (flags.json) console.out(JSON.stringify({ file: name, ...answer.json }));
        else for (const row of answer.rows) console.out(recordings.length > 1 ? `${printable(name)}\t${row}` : row);
      } catch (error) {
        if (!isSpeechError(error)) throw error;
        errors.push(error);
        if (recordings.length > 1) console.err(`nemo-stt: ${errorText(error)}`);
        if (flags.json)
          console.out(JSON.stringify({ file: name, error: { code: error.code, message: error.message } }));
      }
    }
  } finally {
    await acoustic.close();
  }
  throwIfFailed(errors, recordings.length);
}

/** What is said of one recording, as lines and as fields. */
interface RecordingAnswer {
  readonly rows: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
}

async function answerFor(
  { path, error }: NamedRecording,
  model: ModelPackage,
  acoustic: AcousticModel,
  flags: VadFlags,
  console: Console,
): Promise<RecordingAnswer> {
  if (error) throw error;
  const waveform = await readWaveform(path, model.spec.sampleRateHz, (text) => console.err(printable(text)));
  const { classifier } = model.spec.heads;
  const findsSpeech = classifier?.labels.some((label) => label.toLowerCase() === "speech");
  if (classifier && classifier.kind !== "frame" && !findsSpeech) {
    const [probabilities] = await classifyRecordings(model, acoustic, [waveform]);
    return classAnswer(classifier.labels, probabilities);
  }
  const classified = await classifyWindows(model, acoustic, waveform);
  return classified.probability
    ? speechAnswer(classified, flags)
    : classAnswer(classified.labels, meanClasses(classified));
}

function speechAnswer({ probability, hopSec, windowSec }: ClassifiedRecording, flags: VadFlags): RecordingAnswer {
  const positions = probability ?? new Float32Array(0);
  const speech = speechSegments(positions, hopSec, {
    onset: flags.onset,
    offset: flags.offset,
    minSpeechSec: flags.minSpeech,
    minSilenceSec: flags.minSilence,
    windowSec,
  });
  const rounded = (sec: number) => Number(sec.toFixed(4));
  const times = speech.map(({ startSec, endSec }) => ({ startSec: rounded(startSec), endSec: rounded(endSec) }));
  const rows = speech.map(({ startSec, endSec }) => `${startSec.toFixed(2)}\t${endSec.toFixed(2)}`);
  const detail = flags.probabilities ? { probability: Array.from(positions, rounded) } : {};
  return { rows: rows.length > 0 ? rows : ["no speech"], json: { hopSec, windowSec, speech: times, ...detail } };
}

/** Classes by probability, the three best in a line. */
function classAnswer(labels: readonly string[], probabilities: ArrayLike<number>): RecordingAnswer {
  const classes = labels
    .map((label, i) => ({ label, probability: probabilities[i] }))
    .sort((a, b) => b.probability - a.probability);
  const best = classes.slice(0, 3).map(({ label, probability }) => `${label} ${probability.toFixed(3)}`);
  return { rows: [best.join("  ")], json: { classes } };
}

/** Mean probability of every class over all positions. */
function meanClasses({ labels, probabilities, numPositions }: ClassifiedRecording): number[] {
  return labels.map((_, c) => {
    let sum = 0;
    for (let i = 0; i < numPositions; i++) sum += probabilities[i * labels.length + c];
    return numPositions > 0 ? sum / numPositions : 0;
  });
}
