import { MessageChannel, type MessagePort } from "node:worker_threads";

let nowhere: MessagePort | undefined;

/**
 * Frees memory that nobody needs any more, at once: what is sent to a closed port is gone. Left to garbage collection
 * it would bring that about, and a thread stands still for what garbage collection takes.
 * (From Node 22 on, `ArrayBuffer.prototype.transfer` does it.)
 */
export function giveBack(buffer: ArrayBufferLike): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
  nowhere ??= closedPort();
  nowhere.postMessage(undefined, [buffer]);
}

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.close();
  return port1;
}
