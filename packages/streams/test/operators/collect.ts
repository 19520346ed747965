import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../../src/index.ts";

/** Everything that a stream gives. */
export async function collect<T>(stream: ReadableStream<Item<T>>): Promise<Item<T>[]> {
  const items: Item<T>[] = [];
  for await (const item of stream as unknown as AsyncIterable<Item<T>>) items.push(item);
  return items;
}

/** Its tuples. */
export const tuples = <T>(items: readonly Item<T>[]): T[] =>
  items.flatMap((item) => (item.kind === "tuple" ? [item.tuple] : []));

/** Items as a stream. */
export function streamOf<T>(items: readonly Item<T>[]): ReadableStream<Item<T>> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      if (next < items.length) controller.enqueue(items[next++]);
      else controller.close();
    },
  });
}

/** Bytes in blocks as tuples of an attribute, then the marks. */
export function audioItems<K extends string>(name: K, bytes: Uint8Array, blockBytes: number, bytesPerMs: number) {
  const items: Item<{ [P in K]: Uint8Array } & { audioTimestamp: bigint }>[] = [];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const tuple = { [name]: bytes.subarray(at, at + blockBytes), audioTimestamp: BigInt(Math.round(at / bytesPerMs)) };
    items.push(tupleItem(tuple as never));
  }
  return [...items, WINDOW_MARK, FINAL_MARK] as typeof items;
}
