import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Where a service listens, and how to speak to it. */
export interface Peer {
  readonly host?: string;
  readonly port: number;
  /**
   * Certificates as PEM: of those that sign the service's, and our own where it asks for one. The service's must be for `host`,
   * or for `serverName` where that is given.
   */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly serverName?: string };
}

/** How a client tries again. */
export interface Retry {
  /** Between two attempts; 1 s unless told. */
  readonly retryMs?: number;
  /** Attempts in a row that come to nothing before it gives up; for ever unless told (`InfiniteRetry`). */
  readonly maxAttempts?: number;
}

/** Opens a connection. Both sides may be closed on their own: a client that only writes does not see the other end. */
export function openSocket({ host = "127.0.0.1", port, tls }: Peer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = tls
      ? connectTls({ host, port, ...tls, ...(tls.serverName === undefined ? {} : { servername: tls.serverName }) })
      : connectTcp({ host, port, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once(tls ? "secureConnect" : "connect", () => {
      socket.removeListener("error", reject);
      // From here on failures show where the socket is written or read. An alert of TLS alone would leave it as it is.
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}

/** Opens a connection, trying again. @throws the last attempt's error when attempts are used up, or `signal`'s reason */
export async function openSocketAgain(peer: Peer, retry: Retry, signal: AbortSignal): Promise<Socket> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await openSocket(peer);
    } catch (error) {
      if (attempt >= (retry.maxAttempts ?? Number.POSITIVE_INFINITY)) throw error;
    }
    await pauseBetween(retry, signal);
  }
}

/** Waits as long as between two attempts, or until it is aborted. */
export function pauseBetween({ retryMs = 1000 }: Retry, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, retryMs);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
