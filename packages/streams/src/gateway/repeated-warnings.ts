/** How long the same warning is only counted after it was given. */
const QUIET_MS = 10_000;

/** Warnings that are remembered at a time: a client may come from any address. */
const MAX_KNOWN = 1000;

/**
 * Gives a warning at once, and then no more than every ten seconds with the number of times in between: a client that is
 * refused may try again a hundred times a second, and must not fill the disk.
 * @param nowMs milliseconds that go on
 */
export function limitWarnings(warn: (text: string) => void, nowMs: () => number): (text: string) => void {
  const known = new Map<string, { givenMs: number; count: number }>();
  return (text) => {
    const now = nowMs();
    const last = known.get(text);
    if (last && now - last.givenMs < QUIET_MS) {
      last.count++;
      return;
    }
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, { givenMs: now, count: 0 });
    warn(last && last.count > 0 ? `${text} (${last.count} times more since the last such line)` : text);
  };
}
