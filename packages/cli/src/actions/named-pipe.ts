import { closeSync, constants, createReadStream, open, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { SpeechError } from "@nemo-stt/core";

/** A named pipe or a device that is read as sound comes. */
export interface NamedPipe {
  /** Fulfilled when somebody writes to it. */
  readonly opening: Promise<Readable>;
  /** Ends what waits: for somebody to write, or for more. Idempotent. */
  end(): void;
}

/** Opens a pipe with a name (`mkfifo`, `/dev/stdin`, `<(…)`). */
export function openNamedPipe(path: string): NamedPipe {
  let sound: Readable | undefined;
  let isEnded = false;
  const opening = openReader(path).then((reader) => {
    sound = reader;
    if (isEnded) reader.destroy();
    return reader;
  });
  return {
    opening,
    end() {
      isEnded = true;
      if (sound) sound.destroy();
      else endWaiting(path);
    },
  };
}

/** @throws SpeechError `NOT_FOUND` */
async function openReader(path: string): Promise<Readable> {
  const fd = await promisify(open)(path, "r").catch((cause: Error) => {
    const text = `${path}: expected a pipe that can be read, got ${cause.message}. Check the path.`;
    throw new SpeechError("NOT_FOUND", text, { cause });
  });
  try {
    // Its reads can be given up; those of a file's stream wait in a thread until something comes.
    return new Socket({ fd, readable: true, writable: false });
  } catch {
    return createReadStream(path, { fd });
  }
}

/** Ends the wait for somebody who writes to a named pipe, which would keep the process: for a moment somebody does. */
function endWaiting(path: string): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // Nobody waits, or it is no pipe with a name.
  }
}
