import { readFile } from "node:fs/promises";
import { openEngine } from "@nemo-stt/node";
import {
  ENCODINGS,
  type Gateway,
  type GatewayLog,
  type HttpOptions,
  isLoopback,
  serveHttp,
  startGateway,
  type TlsOptions,
} from "@nemo-stt/streams";
import type { GatewayFlags } from "../commands/gateway.ts";
import type { Console } from "../console.ts";
import { UsageError } from "../failures.ts";
import { printable } from "../messages.ts";
import { HTTP_TOKEN_VARIABLE, precisionOf } from "../options.ts";
import { endpointOf, engineOptionsOf } from "../stream-options.ts";
import { readHttpToken } from "./http-token.ts";
import { contextNote } from "./latency.ts";
import { notFound } from "./recordings.ts";

/** Runs the gateway until it is told to stop. */
export async function runGateway(flags: GatewayFlags, console: Console): Promise<void> {
  const tls = await readTls(flags);
  const http = await httpOptionsOf(flags);
  const log = gatewayLog(console, flags.verbose ?? false);
  const engine = await openEngine(flags.model, {
    precision: precisionOf(flags.quantize),
    numWorkers: flags.workers,
    numThreads: flags.threads,
    maxStreams: flags.maxSessions,
    ...(await engineOptionsOf(flags)),
    onWarning: (text) => log.warn(text),
    onCrash: (error) => log.error(`engine: ${error.message}`),
  });
  try {
    const note = flags.attContext ? undefined : contextNote(engine);
    if (note) console.err(note);
    const gateway = await startGateway({
      engine,
      host: flags.host,
      audioPort: flags.audioPort,
      textPorts: flags.textPort ?? [{ port: 5602 }],
      tls,
      format: { encoding: ENCODINGS[flags.encoding], sampleRateHz: flags.sampleRate },
      attContext: flags.attContext,
      endpoint: endpointOf(flags),
      model: engine.model,
      endReaders: flags.endReaders,
      recordFolder: flags.record,
      stateFile: flags.state,
      limits: {
        ...(flags.maxSessions ? { maxSessions: flags.maxSessions } : {}),
        reconnectMs: flags.reconnect * 1000,
        drainMs: flags.drain * 1000,
      },
      log,
    });
    await serve(gateway, flags.host, http, console);
  } finally {
    await engine.close();
  }
}

async function serve(gateway: Gateway, host: string, options: HttpOptions, console: Console): Promise<void> {
  try {
    const http = await serveHttp(gateway, options);
    const stopped = untilStopped(gateway, console);
    const texts = gateway.textPorts.join(", ");
    console.out(`listening on ${host}: audio ${gateway.audioPort}, text ${texts}, http ${http.port}`);
    await stopped;
    await http.close();
  } finally {
    await gateway.close();
  }
}

/** The first signal drains, the second ends at once. */
function untilStopped(gateway: Gateway, console: Console): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      if (gateway.isDraining) {
        gateway.close().then(done, reject);
        return;
      }
      console.err(`draining: ${gateway.table.sessions.size} sessions are live`);
      gateway.drain().then(done, reject);
    };
    const done = () => {
      process.removeListener("SIGTERM", stop);
      process.removeListener("SIGINT", stop);
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

function gatewayLog(console: Console, isVerbose: boolean): GatewayLog {
  const tell = (message: string) => console.err(printable(message));
  return { info: isVerbose ? tell : () => {}, warn: tell, error: tell };
}

/** Who may see calls; told before the model is read. */
async function httpOptionsOf(flags: GatewayFlags): Promise<HttpOptions> {
  const { httpHost: host, httpPort: port, httpOpen: isOpen = false, httpOpenMetrics: hasOpenMetrics = false } = flags;
  const token = await readHttpToken(flags);
  if (token === undefined && hasOpenMetrics)
    throw new UsageError(
      "--http-open-metrics: expected a token that guards the rest, got none. Give one, or leave it out.",
    );
  if (token !== undefined && isOpen)
    throw new UsageError("--http-open: expected no token beside it, got one. Leave one of them out.");
  if (token === undefined && !isOpen && !isLoopback(host))
    throw new UsageError(
      `--http-host ${host}: expected a token where others reach what callers say, got none. ` +
        `Give --http-token-file or ${HTTP_TOKEN_VARIABLE}, or allow everyone with --http-open.`,
    );
  return { host, port, token, hasOpenMetrics, isOpen };
}

async function readTls({ tlsCert, tlsKey, tlsClientCa }: GatewayFlags): Promise<TlsOptions | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) {
    if (tlsClientCa !== undefined) throw new UsageError("--tls-client-ca needs --tls-cert and --tls-key.");
    return undefined;
  }
  if (tlsCert === undefined || tlsKey === undefined) throw new UsageError("--tls-cert and --tls-key go together.");
  const read = (path: string) =>
    readFile(path, "utf8").catch((cause: unknown) => {
      throw notFound(path, "a PEM file", cause);
    });
  const clientCa = tlsClientCa === undefined ? {} : { clientCa: await read(tlsClientCa) };
  return { cert: await read(tlsCert), key: await read(tlsKey), ...clientCa };
}
