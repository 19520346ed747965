/** A command did its work and part of it failed: told already, exit status 1. */
export class Failed extends Error {
  override readonly name = "Failed";
}

/** The options of a command line do not go together: exit status 64. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Recordings that failed in a batch. One that was alone is the command's own error, with its own exit status. */
export function throwIfFailed(errors: readonly Error[], numRecordings: number): void {
  if (errors.length === 0) return;
  if (numRecordings === 1) throw errors[0];
  throw new Failed(`${errors.length} of ${numRecordings} recordings failed.`);
}
