import { dirname } from "node:path";
import { dumpStages, openAcousticModel, type Tensor, writeSafetensors } from "@nemo-stt/core";
import { folderSink, nodeRuntime, openModel } from "@nemo-stt/node";
import type { Command } from "commander";
import { readWaveform } from "../audio-files.ts";
import type { Console } from "../console.ts";
import { parseContext } from "../options.ts";

/** `nemo-stt dump X.nemo AUDIO OUT.safetensors`. */
export function registerDump(program: Command, console: Console): void {
  program
    .command("dump")
    .description(
      "Write what every stage computes for one recording (features, encoder, log-probs, tokens) as safetensors.",
    )
    .argument("<model>", "a .nemo file or an exported folder")
    .argument("<audio>", "a recording, mono or mixed to mono")
    .argument("<out>", "the .safetensors file to write")
    .option("--att-context <L,R>", "one of the model's attention contexts", parseContext)
    .option("--json", "names and shapes as JSON")
    .action(async (model: string, audio: string, out: string, options: { attContext?: number[]; json?: boolean }) => {
      const tensors = await dump(model, audio, options.attContext);
      const sink = await (await folderSink(dirname(out))).create(out.slice(out.lastIndexOf("/") + 1));
      await writeSafetensors(tensors, sink);
      await sink.close();
      const listed = [...tensors].map(([name, { type, dims }]) => ({ name, type, dims }));
      if (options.json) console.out(JSON.stringify(listed));
      else
        for (const { name, type, dims } of listed)
          console.out(`${name.padEnd(24)}${type.padEnd(9)}[${dims.join(", ")}]`);
    });
}

/** The stage tensors of one recording. */
export async function dump(
  model: string,
  audio: string,
  context: readonly number[] | undefined,
): Promise<Map<string, Tensor>> {
  const opened = await openModel(model);
  const waveform = await readWaveform(audio, opened.spec.sampleRateHz);
  const acoustic = await openAcousticModel(opened, nodeRuntime());
  try {
    return await dumpStages(opened, acoustic, waveform, context);
  } finally {
    await acoustic.close();
  }
}
