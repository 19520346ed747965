import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { SpeechError } from "@nemo-stt/core";

/** Certificates, as PEM. */
export interface TlsOptions {
  readonly cert: string;
  readonly key: string;
  /** Of those that sign clients' certificates: clients without one are refused. */
  readonly clientCa?: string;
}

/** How one port listens. */
export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
  readonly maxConnections: number;
  readonly handshakeMs: number;
  /** Serves one connection until its end; never rejects. */
  readonly serve: (socket: Socket) => Promise<void>;
  /** A connection came to nothing: too many of them, or no agreement on TLS. */
  readonly onRefused: (reason: string) => void;
}

/** A port that listens. */
export interface Listener {
  readonly port: number;
  readonly numConnections: number;
  /** No new connections. */
  stop(): Promise<void>;
  /** Cuts all connections. */
  cut(): void;
}

/** A dead peer is noticed after this and ten probes of a second each. */
const KEEP_ALIVE_MS = 15_000;

/**
 * Listens on a port.
 * @throws SpeechError `NETWORK_FAILED` where the port cannot be had
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const onSocket = (socket: Socket) => {
    if (sockets.size >= options.maxConnections) {
      options.onRefused(
        `${socket.remoteAddress}: expected at most ${options.maxConnections} connections, got one more.`,
      );
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    // Failures show where the socket is read or written; without a listener they would end the process.
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    void options.serve(socket);
  };
  const server = options.tls ? tlsServer(options, options.tls, onSocket) : createServer(onSocket);
  await opened(server, options);
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    get numConnections() {
      return sockets.size;
    },
    stop: () => new Promise((resolve) => server.close(() => resolve())),
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function tlsServer(
  { handshakeMs, onRefused }: ListenerOptions,
  tls: TlsOptions,
  onSocket: (socket: Socket) => void,
): Server {
  const server = createTlsServer(
    {
      cert: tls.cert,
      key: tls.key,
      ca: tls.clientCa,
      requestCert: tls.clientCa !== undefined,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: handshakeMs,
    },
    onSocket,
  );
  server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
    onRefused(`${socket.remoteAddress ?? "a client that is gone"}: TLS failed: ${error.message}`);
    socket.destroy();
  });
  return server;
}

function opened(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const text = `${host}:${port}: expected a free port, got ${cause.code ?? cause.message}. Choose another port.`;
      reject(new SpeechError("NETWORK_FAILED", text, { cause }));
    });
    server.listen({ host, port }, () => resolve());
  });
}
