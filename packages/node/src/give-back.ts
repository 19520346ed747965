import { MessageChannel, type MessagePort } from "node:worker_threads";

let nowhere: MessagePort | undefined;

/**
 * Frees memory that nobody needs any more, at once. Left to garbage collection it would bring that about, and a thread
 * stands still for what garbage collection takes. What the platform does not let go stays.
 */
export function giveBack(buffer: ArrayBufferLike): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
  try {
    letGo(buffer);
  } catch {
    // Memory that something else holds is garbage, as all is elsewhere.
  }
}

/** From Node 22 on buffers do it themselves; before, what is sent to a closed port is gone. */
function letGo(buffer: ArrayBuffer & { transfer?: (size: number) => ArrayBuffer }): void {
  if (buffer.transfer) {
    buffer.transfer(0);
    return;
  }
  nowhere ??= closedPort();
  nowhere.postMessage(undefined, [buffer]);
}

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.close();
  return port1;
}
