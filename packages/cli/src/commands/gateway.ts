import { type Command, InvalidArgumentError, Option } from "commander";
import type { Console } from "../console.ts";
import {
  contextOption,
  type DecodingFlags,
  type HttpTokenFlags,
  httpTokenFileOption,
  httpTokenOption,
  MAX_PORT,
  MODEL_FORMS,
  numberBetween,
  type Quantize,
  quantizeOption,
  wholeNumber,
} from "../options.ts";
import { type LiveFlags, liveOptions } from "../stream-options.ts";

/** A text port and the sessions that it shows. */
export interface TextPortFlag {
  readonly port: number;
  readonly sessions?: string;
}

/** The options of `nemo-stt gateway`. */
export interface GatewayFlags extends DecodingFlags, HttpTokenFlags, LiveFlags {
  readonly model?: string;
  readonly quantize?: Quantize;
  readonly host: string;
  readonly audioPort: number;
  readonly textPort?: readonly TextPortFlag[];
  readonly httpPort: number;
  readonly httpHost: string;
  readonly httpOpenMetrics?: boolean;
  readonly httpOpen?: boolean;
  readonly encoding: "pcm16" | "pcm8" | "ulaw" | "alaw";
  readonly sampleRate: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly record?: string;
  readonly state?: string;
  readonly endReaders: "application" | "idle" | "never";
  readonly maxSessions?: number;
  readonly reconnect: number;
  readonly drain: number;
  readonly workers?: number;
  readonly threads: number;
  readonly verbose?: boolean;
}

/** Parses `PORT` or `PORT=SESSIONS`. */
function parseTextPort(text: string, before: readonly TextPortFlag[] = []): TextPortFlag[] {
  const [, port, sessions] = /^(\d{1,5})(?:=(.+))?$/.exec(text) ?? [];
  if (port === undefined || Number(port) > MAX_PORT)
    throw new InvalidArgumentError(`Expected PORT or PORT=SESSIONS, got ${text}.`);
  return [...before, { port: Number(port), ...(sessions === undefined ? {} : { sessions }) }];
}

/** `nemo-stt gateway`. */
export function registerGateway(program: Command, console: Console): void {
  const port = wholeNumber(0, MAX_PORT);
  const seconds = numberBetween(0, 86_400);
  const command = program
    .command("gateway")
    .description("Serve SPL applications of Streams over TCP: sound on one port, text on another, many calls at once.")
    .option("-m, --model <model>", `${MODEL_FORMS} (default: the bundled English model)`)
    .addOption(contextOption())
    .addOption(quantizeOption("run a .nemo with smaller weights"))
    .option("--host <address>", "where to listen", "127.0.0.1")
    .option("--audio-port <port>", "for TCPSinks", port, 5601)
    .option(
      "--text-port <port[=sessions]>",
      "for TCPSources; repeat it for ports that show one session, or those that begin with ABC* (default: 5602)",
      parseTextPort,
    )
    .option("--http-port <port>", "a page of live calls, metrics, health, live events", port, 5603)
    .option("--http-host <address>", "where they are shown: any but loopback needs a token", "127.0.0.1")
    .addOption(httpTokenOption("what viewers have to know"))
    .addOption(httpTokenFileOption())
    .option("--http-open-metrics", "metrics are shown without the token")
    .option("--http-open", "show everything without a token: whoever reaches the port may read what callers say")
    .addOption(
      new Option("--encoding <encoding>", "of sessions that do not tell")
        .choices(["pcm16", "pcm8", "ulaw", "alaw"])
        .default("pcm16"),
    )
    .option("--sample-rate <hz>", "of sessions that do not tell", wholeNumber(8000, 48_000), 16_000)
    .option("--tls-cert <file>", "certificate, PEM: both TCP ports speak TLS")
    .option("--tls-key <file>", "its key, PEM")
    .option("--tls-client-ca <file>", "refuse clients without a certificate signed by this one, PEM")
    .option("--state <file>", "save live calls there when it is stopped, and go on with them when it starts again")
    .option("--record <folder>", "keep calls there: µ-law WAV of each party, and JSON")
    .addOption(
      new Option("--end-readers <when>", "when a text reader is sent the final mark, which ends it for ever")
        .choices(["application", "idle", "never"])
        .default("application"),
    )
    .option(
      "--max-sessions <n>",
      "live sessions, at most (default: as many as the machine carries in real time)",
      wholeNumber(1),
    )
    .option("--reconnect <sec>", "how long a session waits for an application that was cut", seconds, 60)
    .option("--drain <sec>", "how long live calls may go on after SIGTERM", seconds, 25)
    .option(
      "--workers <n>",
      "threads that recognise, each with the model in memory (default: one for each core)",
      wholeNumber(1),
    )
    .option("--threads <n>", "threads inside one operator", wholeNumber(1), 1)
    .option("--verbose", "tell of every connection that is cut")
    .addHelpText(
      "after",
      `
SIGTERM or SIGINT: no new calls, live ones may end (or are kept with --state); a second one ends at once.

Examples:
  nemo-stt gateway --record calls/
  nemo-stt gateway -m model.nemo --att-context 70,1 --host 0.0.0.0
  nemo-stt gateway --http-host 0.0.0.0 --http-token-file token
  nemo-stt gateway --text-port 5602=agent-* --text-port 5604=caller-*`,
    )
    .action(async (flags: GatewayFlags) => {
      const { runGateway } = await import("../actions/gateway.ts");
      await runGateway(flags, console);
    });
  for (const option of liveOptions()) command.addOption(option);
}
