import type { Item } from "../items.ts";

/** An operator with one input and one output port: for `pipeThrough`. */
export interface Operator<I, O> {
  readonly writable: WritableStream<Item<I>>;
  readonly readable: ReadableStream<Item<O>>;
}

/** What an operator does with its items. */
export interface OperatorLogic<I, O> {
  /** Takes an item; the next comes when it is done. Marks are passed on here too. */
  take(item: Item<I>, emit: (item: Item<O>, port?: number) => void): Promise<void>;
  /** The input was closed without a final mark: what is held back comes out. */
  end(emit: (item: Item<O>, port?: number) => void): Promise<void>;
  /** The operator is over, by its end or by a failure of a neighbour; idempotent. */
  close(): Promise<void>;
}

/** Items that wait at an output port; beyond it the input is not read. */
const QUEUED_ITEMS = 16;

const KINDS: ReadonlySet<unknown> = new Set(["tuple", "window", "final"]);

const describe = (value: unknown): string =>
  typeof value === "object" && value !== null && "kind" in value ? `the kind ${String(value.kind)}` : typeof value;

/**
 * The bytes and the time of an audio tuple.
 * @throws TypeError where the attributes are not of their types: what is no sound must not be taken for silence
 */
export function checkAudio(operator: string, attribute: string, bytes: unknown, timestamp: unknown): void {
  const where = `${operator}.`;
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`${where}${attribute}: expected a Uint8Array (blob), got ${typeof bytes}. Give bytes.`);
  if (typeof timestamp !== "bigint" || timestamp < 0n)
    throw new TypeError(
      `${where}audioTimestamp: expected a bigint of 0 or more (uint64), got ${String(timestamp)}. Give milliseconds.`,
    );
}

/** An operator of one output port. */
export function createOperator<I, O>(name: string, logic: OperatorLogic<I, O>): Operator<I, O> {
  const { writable, readables } = createPorts(name, 1, logic);
  return { writable, readable: readables[0] };
}

/**
 * Joins logic to Web streams. The input waits while any output port is full, so nothing is held but what is on its way;
 * output ports of one operator are to be read side by side. The final mark closes the ports.
 */
export function createPorts<I, O>(
  name: string,
  numPorts: number,
  logic: OperatorLogic<I, O>,
): { writable: WritableStream<Item<I>>; readables: ReadableStream<Item<O>>[] } {
  const controllers: ReadableStreamDefaultController<Item<O>>[] = [];
  let isEnded = false;
  let failure: unknown;
  let input: WritableStreamDefaultController | undefined;
  let onRoom: (() => void) | undefined;
  const hasRoom = () => controllers.every((controller) => (controller.desiredSize ?? 0) > 0);
  const emit = (item: Item<O>, port = 0) => {
    controllers[port].enqueue(item);
  };
  const finish = async () => {
    isEnded = true;
    await logic.close();
    for (const controller of controllers) controller.close();
  };
  const cancel = async (reason: unknown) => {
    if (isEnded) return;
    isEnded = true;
    failure = reason ?? new Error(`${name}: its output was cancelled.`);
    onRoom?.();
    input?.error(failure);
    for (const controller of controllers) if (controller.desiredSize !== null) tryError(controller, failure);
    await logic.close();
  };
  const readables = Array.from({ length: numPorts }, () => {
    const source = {
      start: (controller: ReadableStreamDefaultController<Item<O>>) => void controllers.push(controller),
      pull: () => onRoom?.(),
      cancel,
    };
    return new ReadableStream<Item<O>>(source, { highWaterMark: QUEUED_ITEMS });
  });
  const room = async () => {
    while (!hasRoom() && failure === undefined) {
      await new Promise<void>((resolve) => {
        onRoom = resolve;
      });
    }
    if (failure !== undefined) throw failure;
  };
  const guarded = async (work: () => Promise<void>) => {
    try {
      await room();
      await work();
    } catch (error) {
      await cancel(error);
      throw error;
    }
  };
  const writable = new WritableStream<Item<I>>({
    start: (controller) => {
      input = controller;
    },
    write: async (item) => {
      if (isEnded)
        throw (
          failure ?? new TypeError(`${name}: expected nothing behind the final mark, got ${item.kind}. Open another.`)
        );
      if (!KINDS.has(item?.kind)) {
        const wrong = new TypeError(
          `${name}: expected a tuple, a window or the final mark, got ${describe(item)}. Use tupleItem.`,
        );
        await cancel(wrong);
        throw wrong;
      }
      await guarded(async () => {
        await logic.take(item, emit);
        if (item.kind === "final") await finish();
      });
    },
    close: async () => {
      if (isEnded) return;
      await guarded(async () => {
        await logic.end(emit);
        await finish();
      });
    },
    abort: (reason) => cancel(reason),
  });
  return { writable, readables };
}

function tryError(controller: ReadableStreamDefaultController<unknown>, reason: unknown): void {
  try {
    controller.error(reason);
  } catch {
    // It was cancelled by its own reader: there is nobody to tell.
  }
}
