/**
 * A value of the wrong type from a caller that no compiler checks: a `TypeError`, as the language's own, with a stable
 * code. Messages read `where: expected X, got Y. What to do.`
 */
export class ArgumentError extends TypeError {
  readonly code = "ARGUMENT_INVALID";
}

/** What a value is, for a message: `null`, `an Array`, `a Uint8Array`, `"soon"`. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number") return String(value);
  if (typeof value === "string") return value.length > 20 ? "a string" : JSON.stringify(value);
  const tag = typeof value === "object" ? Object.prototype.toString.call(value).slice(8, -1) : typeof value;
  return `${/^(?!Ui)[AEIOU]/i.test(tag) ? "an" : "a"} ${tag}`;
}

/** Refuses a value that is not of a kind. @throws ArgumentError */
export function checkArgument(isRight: boolean, where: string, expected: string, value: unknown, advice: string): void {
  if (!isRight) throw new ArgumentError(`${where}: expected ${expected}, got ${kindOf(value)}. ${advice}`);
}

const isObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

/** Refuses what is no object of options. @throws ArgumentError */
export function checkObject(where: string, value: unknown): void {
  checkArgument(isObject(value), where, "an object of options", value, "Leave it out, or give {}.");
}

/** Refuses properties that are there and no numbers. @throws ArgumentError */
export function checkNumbers<T extends object>(where: string, options: T, names: readonly (keyof T & string)[]): void {
  for (const name of names) {
    const value: unknown = options[name];
    checkArgument(
      value === undefined || typeof value === "number",
      `${where}.${name}`,
      "a number",
      value,
      "Leave it out, or give one.",
    );
  }
}

/** Refuses properties that are there and count nothing. @throws RangeError */
export function checkCounts<T extends object>(where: string, options: T, names: readonly (keyof T & string)[]): void {
  for (const name of names) {
    const value: unknown = options[name] ?? 1;
    if (Number.isSafeInteger(value) && (value as number) > 0) continue;
    throw new RangeError(
      `${where}.${name}: expected a whole number from 1 up, got ${value}. Leave it out, or give one.`,
    );
  }
}

/** Refuses properties that are there and none of some words. @throws ArgumentError */
export function checkWord(where: string, value: unknown, words: readonly string[]): void {
  const isRight = value === undefined || words.includes(value as string);
  checkArgument(isRight, where, words.map((word) => `"${word}"`).join(" or "), value, "Leave it out, or give one.");
}
