import { Command, CommanderError } from "commander";
import { registerCalls } from "./commands/calls.ts";
import { registerCapacity } from "./commands/capacity.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerDump } from "./commands/dump.ts";
import { registerEval } from "./commands/eval.ts";
import { registerExport } from "./commands/export.ts";
import { registerGateway } from "./commands/gateway.ts";
import { registerInspect } from "./commands/inspect.ts";
import { registerModels } from "./commands/models.ts";
import { registerPull } from "./commands/pull.ts";
import { registerReplay } from "./commands/replay.ts";
import { registerStream } from "./commands/stream.ts";
import { registerTranscribe } from "./commands/transcribe.ts";
import { registerTry } from "./commands/try.ts";
import { registerVad } from "./commands/vad.ts";
import { registerVerify } from "./commands/verify.ts";
import type { Console } from "./console.ts";
import { Failed, UsageError } from "./failures.ts";
import { errorText } from "./messages.ts";
import { VERSION } from "./version.ts";

/** Exit statuses besides those of the error table (which follow sysexits.h). */
const EXIT = { ok: 0, failed: 1, usage: 64, bug: 70 } as const;

const HELP = `
Examples:
  nemo-stt transcribe talk.wav
  nemo-stt inspect model.nemo
  nemo-stt export model.nemo exported/

nemo-stt COMMAND --help shows a command's options and examples.

Exit status:
  0    done
  1    done, but some recordings failed or a comparison did not hold (told on standard error)
  64   the command line is wrong
  65   a file is corrupt or of a kind that is not read
  66   a file or model does not exist
  69   the model is not supported, or a download failed
  70   the runtime failed, or an internal error
  73   a file cannot be written
  75   no room for a further stream
  130  interrupted

Results go to standard output, everything else to standard error.`;

/** The whole command line program. What a command does is loaded when it is run: `--help` needs none of it. */
export function createProgram(console: Console): Command {
  const program = new Command("nemo-stt")
    .description("Speech to text with NVIDIA NeMo checkpoints: no Python, NeMo's own text.")
    .version(VERSION)
    .configureOutput({
      writeOut: (text) => console.out(text.trimEnd()),
      writeErr: (text) => console.err(text.trimEnd()),
    })
    .exitOverride()
    .showHelpAfterError("(nemo-stt --help shows all commands)")
    .addHelpText("after", HELP);
  const registrations = [
    registerTranscribe,
    registerStream,
    registerCapacity,
    registerInspect,
    registerExport,
    registerEval,
    registerVerify,
    registerDump,
    registerTry,
    registerVad,
    registerModels,
    registerPull,
    registerGateway,
    registerCalls,
    registerReplay,
    registerCompletion,
  ];
  for (const register of registrations) register(program, console);
  for (const command of program.commands) {
    command.showHelpAfterError(`(nemo-stt ${command.name()} --help shows its options and examples)`);
  }
  return program;
}

/** Runs one command line and gives its exit status. */
export async function runCli(args: readonly string[], console: Console): Promise<number> {
  try {
    await createProgram(console).parseAsync(args, { from: "user" });
    return EXIT.ok;
  } catch (error) {
    return exitStatus(error, console);
  }
}

async function exitStatus(error: unknown, console: Console): Promise<number> {
  // Commander has told it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof Failed || error instanceof UsageError) {
    console.err(`nemo-stt: ${error.message}`);
    return error instanceof Failed ? EXIT.failed : EXIT.usage;
  }
  const { ERROR_TABLE, isSpeechError } = await import("@nemo-stt/core");
  if (isSpeechError(error)) {
    console.err(`nemo-stt: ${errorText(error)}`);
    return ERROR_TABLE[error.code].exitCode;
  }
  console.err(`nemo-stt: internal error, please report it: ${error instanceof Error ? error.stack : String(error)}`);
  return EXIT.bug;
}
