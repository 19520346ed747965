/** A command did its work and part of it failed: told already, exit status 1. */
export class Failed extends Error {
  override readonly name = "Failed";
}
