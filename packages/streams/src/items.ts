/**
 * What flows between operators: tuples, and the two punctuation marks of SPL. A window mark ends an utterance or a
 * window of tuples, the final mark ends the stream: nothing follows it.
 */
export type Item<T> = { readonly kind: "tuple"; readonly tuple: T } | WindowMark | FinalMark;

/** SPL's window punctuation. */
export interface WindowMark {
  readonly kind: "window";
}

/** SPL's final punctuation. */
export interface FinalMark {
  readonly kind: "final";
}

/** The window mark. */
export const WINDOW_MARK: WindowMark = { kind: "window" };
/** The final mark. */
export const FINAL_MARK: FinalMark = { kind: "final" };

/** A tuple as an item. */
export const tupleItem = <T>(tuple: T): Item<T> => ({ kind: "tuple", tuple });
