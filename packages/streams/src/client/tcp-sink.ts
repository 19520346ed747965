import type { Socket } from "node:net";
import type { Item } from "../items.ts";
import { encodeItem } from "../spl/encode.ts";
import type { SplTuple, SplValue } from "../spl/types.ts";
import { openSocketAgain, type Peer, pauseBetween, type Retry } from "./connect.ts";

/**
 * `spl.adapter::TCPSink` as a client with `format: bin; writePunctuations: true; flush: 1u; retryFailedSends: true` and
 * a reconnection policy: what could not be written is written again on the next connection; what the operating system
 * had taken when a connection broke is lost.
 */
export class TcpSink<T extends SplTuple> {
  readonly #type: T;
  readonly #peer: Peer;
  readonly #retry: Retry;
  readonly #abort = new AbortController();
  #socket: Socket | undefined;
  #numConnections = 0;
  /** Connections in a row that took nothing. */
  #numBroken = 0;

  constructor(type: T, peer: Peer, retry: Retry = {}) {
    this.#type = type;
    this.#peer = peer;
    this.#retry = retry;
  }

  /** Connections so far. */
  get numConnections(): number {
    return this.#numConnections;
  }

  /** Sends an item; resolves when the operating system has it. Calls must not overlap, as tuples come one by one. */
  async submit(item: Item<SplValue<T>>): Promise<void> {
    const bytes = encodeItem(this.#type, item);
    while (!(await this.#write(bytes))) {
      this.#socket = undefined;
      // The first one may have been broken for long; a new one that breaks at once is not opened again at once.
      if (++this.#numBroken > 1) await pauseBetween(this.#retry, this.#abort.signal);
    }
    this.#numBroken = 0;
    if (item.kind === "final") await this.close();
  }

  async #write(bytes: Uint8Array): Promise<boolean> {
    const socket = await this.#connected();
    return new Promise((resolve) => {
      const onClose = () => resolve(false);
      socket.once("close", onClose);
      socket.write(bytes, (error) => {
        socket.removeListener("close", onClose);
        resolve(!error);
      });
    });
  }

  async #connected(): Promise<Socket> {
    if (this.#socket && !this.#socket.destroyed) return this.#socket;
    this.#socket = await openSocketAgain(this.#peer, this.#retry, this.#abort.signal);
    this.#numConnections++;
    return this.#socket;
  }

  /** Breaks the connection, as a network does. */
  cut(): void {
    this.#socket?.resetAndDestroy();
  }

  /** Ends the connection after what was sent; idempotent. */
  async close(): Promise<void> {
    this.#abort.abort(new Error("TCPSink was closed."));
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      socket.end();
      // The end of the other side is seen by reading only.
      socket.resume();
    });
  }
}
