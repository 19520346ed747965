import {
  checkStreamable,
  dumpStages,
  dumpStream,
  encodeSafetensors,
  type ModelPackage,
  openAcousticModel,
  openStreamSet,
  type Tensor,
} from "@nemo-stt/core";
import { nodeRuntime, openModel } from "@nemo-stt/node";
import type { DumpFlags } from "../commands/dump.ts";
import type { Console } from "../console.ts";
import { now } from "./clock.ts";
import { writeWhole } from "./output-files.ts";
import { readWaveform } from "./recordings.ts";

const WITHOUT_CACHES =
  "Leave out --stream: the whole recording is what such a model hears. `nemo-stt stream` hears it in overlapping windows.";

/** Writes the tensors of every stage for one recording. */
export async function dump(
  model: string,
  audio: string,
  out: string,
  flags: DumpFlags,
  console: Console,
): Promise<void> {
  const opened = await openModel(model);
  if (flags.stream && opened.tokenizer) checkStreamable(opened.spec, opened.name, WITHOUT_CACHES);
  const waveform = await readWaveform(audio, opened.spec.sampleRateHz, (text) => console.err(text));
  const tensors = await (flags.stream ? streamed : whole)(opened, waveform, flags);
  await writeWhole(out, encodeSafetensors(tensors));
  const listed = [...tensors].map(([name, { type, dims }]) => ({ name, type, dims }));
  if (flags.json) return console.out(JSON.stringify(listed));
  for (const { name, type, dims } of listed) console.out(`${name.padEnd(24)}${type.padEnd(9)}[${dims.join(", ")}]`);
}

/** The recording at once. */
async function whole(
  model: ModelPackage,
  waveform: Float32Array,
  { attContext }: DumpFlags,
): Promise<Map<string, Tensor>> {
  const acoustic = await openAcousticModel(model, nodeRuntime());
  try {
    return await dumpStages(model, acoustic, waveform, attContext);
  } finally {
    await acoustic.close();
  }
}

/** The recording in packets, by the path that live sound takes. */
async function streamed(
  model: ModelPackage,
  waveform: Float32Array,
  { attContext, packetMs = 100 }: DumpFlags,
): Promise<Map<string, Tensor>> {
  const packetSamples = Math.max(1, Math.round((packetMs * model.spec.sampleRateHz) / 1000));
  const opened = await openStreamSet(model, nodeRuntime(), { now, maxStreams: 2 });
  try {
    return await dumpStream(model, opened, { waveform, attContext, packetSamples });
  } finally {
    await opened.release();
  }
}
