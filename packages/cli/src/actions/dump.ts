import { dumpStages, encodeSafetensors, openAcousticModel } from "@nemo-stt/core";
import { nodeRuntime, openModel } from "@nemo-stt/node";
import type { DumpFlags } from "../commands/dump.ts";
import type { Console } from "../console.ts";
import { writeWhole } from "./output-files.ts";
import { readWaveform } from "./recordings.ts";

/** Writes the tensors of every stage for one recording. */
export async function dump(
  model: string,
  audio: string,
  out: string,
  flags: DumpFlags,
  console: Console,
): Promise<void> {
  const opened = await openModel(model);
  const waveform = await readWaveform(audio, opened.spec.sampleRateHz, (text) => console.err(text));
  const acoustic = await openAcousticModel(opened, nodeRuntime());
  try {
    const tensors = await dumpStages(opened, acoustic, waveform, flags.attContext);
    await writeWhole(out, encodeSafetensors(tensors));
    const listed = [...tensors].map(([name, { type, dims }]) => ({ name, type, dims }));
    if (flags.json) return console.out(JSON.stringify(listed));
    for (const { name, type, dims } of listed) console.out(`${name.padEnd(24)}${type.padEnd(9)}[${dims.join(", ")}]`);
  } finally {
    await acoustic.close();
  }
}
