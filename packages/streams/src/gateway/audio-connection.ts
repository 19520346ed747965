import type { Socket } from "node:net";
import { isSpeechError, SpeechError } from "@nemo-stt/core";
import type { Item } from "../items.ts";
import { createBinDecoder } from "../spl/decode.ts";
import { STT_UP, type SttUp } from "../spl/schemas.ts";
import type { GatewayLimits } from "./limits.ts";
import type { GatewayLog } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Session } from "./session.ts";
import type { Connection, SessionTable } from "./session-table.ts";

/** What an audio connection needs of the gateway. */
export interface AudioHost {
  readonly table: SessionTable;
  readonly limits: GatewayLimits;
  readonly metrics: GatewayMetrics;
  readonly log: GatewayLog;
}

/**
 * Reads one application's sound until it ends or is cut. Nothing is read while a session's queue is full, so that the
 * sender waits in turn.
 */
export async function serveAudio(socket: Socket, id: number, host: AudioHost): Promise<void> {
  const connection: Connection = {
    id,
    remoteAddress: socket.remoteAddress ?? "",
    sessions: new Set(),
    refused: new Set(),
    isHeld: false,
  };
  const name = `audio connection ${id} of ${connection.remoteAddress || "a peer that is gone"}`;
  const reader = new AudioReader(connection, name, host);
  const decoder = createBinDecoder(STT_UP, { name });
  const timer = recordTimer(socket, name, host);
  try {
    // Leaving the loop destroys the socket.
    for await (const bytes of socket as AsyncIterable<Uint8Array>) {
      const items = decoder.feed(bytes);
      if (items.length > 0) timer.watch(false, true);
      for (const item of items) await reader.take(item);
      timer.watch(decoder.numPendingBytes > 0, items.length > 0);
      if (decoder.isEnded) break;
    }
    if (!decoder.isEnded) decoder.finish();
  } catch (error) {
    tellFailure(name, error, host);
  } finally {
    timer.watch(false, true);
    socket.destroy();
    host.table.detach(connection);
  }
}

/** A record that has begun must be whole in time; while the engine is waited for nothing is read, and time stands. */
function recordTimer(
  socket: Socket,
  name: string,
  { limits }: AudioHost,
): { watch(isPartial: boolean, isAnother: boolean): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const text = `${name}: expected the rest of a record within ${limits.recordMs} ms, got nothing. The peer is gone or stuck.`;
  return {
    watch(isPartial, isAnother) {
      if (isAnother || !isPartial) {
        clearTimeout(timer);
        timer = undefined;
      }
      if (isPartial) timer ??= setTimeout(() => socket.destroy(new SpeechError("TIMED_OUT", text)), limits.recordMs);
    },
  };
}

/** Cuts are the peer's business and usual; what is no `format: bin` is told and counted. */
function tellFailure(name: string, error: unknown, { log, metrics }: AudioHost): void {
  if (!isSpeechError(error)) {
    const isCut = error instanceof Error && "code" in error && typeof error.code === "string";
    if (isCut) log.info(`${name}: cut (${(error as NodeJS.ErrnoException).code}).`);
    else log.error(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    return;
  }
  if (error.code === "FORMAT_INVALID" || error.code === "LIMIT_EXCEEDED") metrics.hostile.inc();
  log.warn(error.message, { code: error.code });
}

/** Items of one connection to the sessions they are of. */
class AudioReader {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #host: AudioHost;
  /** The session of the last tuple: a mark that follows is its. */
  #last: Session | undefined;
  #hasTuple = false;

  constructor(connection: Connection, name: string, host: AudioHost) {
    this.#connection = connection;
    this.#name = name;
    this.#host = host;
  }

  async take(item: Item<SttUp>): Promise<void> {
    const { table } = this.#host;
    if (item.kind === "tuple") await this.#tuple(item.tuple);
    else if (item.kind === "window") await this.#mark();
    else {
      if (!this.#hasTuple && !table.adopt(this.#connection)) this.#stray();
      await table.endAll(this.#connection);
    }
  }

  async #tuple(chunk: SttUp): Promise<void> {
    this.#hasTuple = true;
    this.#last = await this.#host.table.offer(this.#connection, chunk);
  }

  async #mark(): Promise<void> {
    if (!this.#hasTuple) this.#last ??= this.#host.table.adopt(this.#connection);
    if (this.#last) await this.#last.mark();
    // Behind a tuple it is of a session that was refused, which was told.
    else if (!this.#hasTuple) this.#stray();
  }

  #stray(): void {
    this.#host.metrics.strayMarks.inc();
    this.#host.log.warn(`${this.#name}: a mark came before any tuple, and no session waits for its peer there.`);
  }
}
