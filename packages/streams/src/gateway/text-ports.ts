import type { Socket } from "node:net";
import type { SttDown } from "../spl/schemas.ts";
import type { SessionLog } from "./journal.ts";
import { TextConnection, type TextHost } from "./text-connection.ts";

/** A port for text readers. */
export interface TextPort {
  readonly port: number;
  /** Which sessions it shows: one id, or a beginning and `*`. All unless told. One port for each processing element. */
  readonly sessions?: string;
}

/** What the readers of all ports share. */
export interface TextPortsHost extends Omit<TextHost, "shows" | "isAlone" | "isSettled"> {
  /** How long a reader that was cut may come back. */
  readonly keepMs: number;
}

/** The readers of one port. */
interface Readers {
  readonly connected: Set<TextConnection>;
  /** When one was cut last, which may come back. */
  cutAtMs: number;
}

/** The readers of a gateway, by port: who is there, and who may come back. */
export class TextPorts {
  readonly #ports: Readers[] = [];

  /** Those that are connected, of all ports. */
  get connected(): TextConnection[] {
    return this.#ports.flatMap(({ connected }) => [...connected]);
  }

  /** Adds a port. @returns what serves one connection of it until its end */
  add({ sessions }: TextPort): (socket: Socket, id: number, host: TextPortsHost) => Promise<void> {
    const readers: Readers = { connected: new Set(), cutAtMs: Number.NEGATIVE_INFINITY };
    const shows = sessionFilter(sessions);
    this.#ports.push(readers);
    return async (socket, id, host) => {
      const { clock, keepMs } = host;
      const connection = new TextConnection(socket, id, {
        ...host,
        shows,
        isAlone: () => [...readers.connected].filter(({ isNamed }) => !isNamed).length === 1,
        isSettled: (sinceMs) => readers.cutAtMs < sinceMs || clock.nowMs() - readers.cutAtMs > keepMs,
      });
      readers.connected.add(connection);
      await connection.serve();
      readers.connected.delete(connection);
      if (!connection.isConfirmed) readers.cutAtMs = clock.nowMs();
    };
  }

  /** An application said which reader is its session's. */
  name(reader: bigint, sessionId: string): void {
    this.connected.find(({ id }) => id === reader)?.name(sessionId);
  }

  /** Tells all readers something besides records. */
  notify(notice: SttDown): void {
    for (const reader of this.connected) reader.notify(notice);
  }

  /** Looks at the clock. */
  sweep(): void {
    for (const reader of this.connected) reader.sweep();
  }

  /** A session began. */
  onSessionStarted(log: SessionLog): void {
    for (const reader of this.connected) reader.onSessionStarted(log);
  }
}

/** A filter of session ids: one id, or all that begin with what stands before `*`. */
function sessionFilter(pattern: string | undefined): (sessionId: string) => boolean {
  if (pattern === undefined) return () => true;
  const prefix = pattern.replace(/\*$/, "");
  return pattern.endsWith("*") ? (sessionId) => sessionId.startsWith(prefix) : (sessionId) => sessionId === pattern;
}
