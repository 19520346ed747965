import type { Socket } from "node:net";
import { SpeechError } from "@nemo-stt/core";
import type { Item } from "../items.ts";
import { createBinDecoder } from "../spl/decode.ts";
import type { SplTuple, SplValue } from "../spl/types.ts";
import { openSocketAgain, type Peer, pauseBetween, type Retry } from "./connect.ts";

/** How a source behaves beside its address. */
export interface SourceOptions extends Retry {
  /** Asks the gateway never to send a final mark, only sessions' end records: for readers of many applications. */
  readonly endsByRecords?: boolean;
}

/**
 * `spl.adapter::TCPSource` as a client with `format: bin; readPunctuations: true; parsing: permissive` and
 * `InfiniteRetry`: a connection that ends is opened again, the final mark ends it for good.
 */
export class TcpSource<T extends SplTuple> {
  readonly #type: T;
  readonly #peer: Peer;
  readonly #options: SourceOptions;
  readonly #onItem: (item: Item<SplValue<T>>) => void | Promise<void>;
  readonly #abort = new AbortController();
  #socket: Socket | undefined;
  #numConnections = 0;
  #heldUntil: Promise<void> | undefined;
  /** Connections in a row that ended before they gave anything, and why the last one did. */
  #numFruitless = 0;
  #failure: unknown;
  /** Resolves after the final mark or `close`; rejects when attempts to connect are used up. */
  readonly done: Promise<void>;

  /** @param onItem called in order; while it waits nothing is read */
  constructor(
    type: T,
    peer: Peer,
    onItem: (item: Item<SplValue<T>>) => void | Promise<void>,
    options: SourceOptions = {},
  ) {
    this.#type = type;
    this.#peer = peer;
    this.#options = options;
    this.#onItem = onItem;
    this.done = this.#run();
    // Who waits for it sees its failure; who does not must not be ended by it.
    this.done.catch(() => {});
  }

  /** Connections so far. */
  get numConnections(): number {
    return this.#numConnections;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        this.#socket = await openSocketAgain(this.#peer, this.#options, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      if (signal.aborted) {
        this.#socket.destroy();
        return;
      }
      this.#numConnections++;
      if (this.#options.endsByRecords) this.#socket.write(Uint8Array.of(1));
      if (await this.#read(this.#socket)) return;
      // A peer that takes connections and ends them at once must not be asked without a pause.
      if (this.#numFruitless > 0 && !signal.aborted) await this.#waitForBetter(signal);
    }
  }

  async #waitForBetter(signal: AbortSignal): Promise<void> {
    const { host = "127.0.0.1", port } = this.#peer;
    if (this.#numFruitless >= (this.#options.maxAttempts ?? Number.POSITIVE_INFINITY)) {
      const { reason, message } = (this.#failure ?? {}) as { readonly reason?: string; readonly message?: string };
      const got = reason ?? message ?? "its end";
      const text = `${host}:${port}: expected something to read from a connection, got ${got}. Check the port, and what it asks of clients (TLS, certificates).`;
      throw new SpeechError("NETWORK_FAILED", text, { cause: this.#failure });
    }
    await pauseBetween(this.#options, signal);
  }

  /** Reads a connection to its end. True after the final mark. */
  async #read(socket: Socket): Promise<boolean> {
    const decoder = createBinDecoder(this.#type, { name: "TCPSource" });
    this.#numFruitless++;
    this.#failure = undefined;
    try {
      for await (const bytes of socket as AsyncIterable<Uint8Array>) {
        await this.#heldUntil;
        this.#numFruitless = 0;
        for (const item of decoder.feed(bytes)) await this.#onItem(item);
        if (decoder.isEnded) return true;
      }
    } catch (error) {
      // A connection that breaks is opened again; a stream that is no `format: bin` would be so for ever.
      if (!(error instanceof Error && "code" in error && typeof error.code === "string")) throw error;
      if (error.code === "FORMAT_INVALID" || error.code === "LIMIT_EXCEEDED") throw error;
      this.#failure = error;
    } finally {
      socket.destroy();
    }
    return false;
  }

  /** Breaks the connection, as a network does. */
  cut(): void {
    this.#socket?.resetAndDestroy();
  }

  /** Reads nothing for a while, as a reader that is busy. */
  hold(durationMs: number): void {
    this.#heldUntil = new Promise((resolve) => setTimeout(resolve, durationMs));
  }

  /** Ends it; idempotent. */
  close(): void {
    this.#abort.abort(new Error("TCPSource was closed."));
    this.#socket?.destroy();
  }
}
