import { type ErrorCode, SpeechError } from "../errors.ts";

/** One mapping of `model_config.yaml`, with its path and the keys that have been read from it. */
export interface ConfigBlock {
  /** Dotted path from the root, for example `encoder`; empty for the root itself. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly read: Set<string>;
}

/** OmegaConf's mark of a mandatory value that was never given; NeMo would use the constructor's default. */
const MISSING = "???";

/** Some lines of a terminal. */
const MAX_MESSAGE_LENGTH = 1000;

/** The root of a configuration as a block. */
export function rootBlock(values: Readonly<Record<string, unknown>>): ConfigBlock {
  return { path: "", values, read: new Set() };
}

/** A mapping inside a block; undefined where it is absent or null. */
export function childBlock(block: ConfigBlock, key: string): ConfigBlock | undefined {
  const value = rawValue(block, key);
  if (value === undefined || value === null) return undefined;
  if (!isMapping(value)) throw wrong(block, key, "a mapping", value);
  return { path: pathOf(block, key), values: flattened(value), read: new Set() };
}

/** A mapping that has to be there. */
export function requiredBlock(block: ConfigBlock, key: string): ConfigBlock {
  const child = childBlock(block, key);
  if (child === undefined) throw invalid(`\`${pathOf(block, key)}\` is missing.`);
  return child;
}

/** The dotted path of a key. */
export function pathOf(block: ConfigBlock, key: string): string {
  return block.path === "" ? key : `${block.path}.${key}`;
}

/** True where the key is there, even when its value is null. */
export function hasKey(block: ConfigBlock, key: string): boolean {
  return rawValue(block, key) !== undefined;
}

/** The value as it stands; undefined where the key is absent, null where it says so. Marks the key as read. */
export function rawValue(block: ConfigBlock, key: string): unknown {
  block.read.add(key);
  if (!Object.hasOwn(block.values, key)) return undefined;
  const value = block.values[key];
  return value === MISSING ? undefined : value;
}

/** A number; `fallback` (NeMo's constructor default) where the key is absent, undefined where it is null. */
export function numberOr<F>(block: ConfigBlock, key: string, fallback: F): number | F | undefined {
  const value = rawValue(block, key);
  if (value === undefined) return fallback;
  if (value === null) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(block, key, "a number", value);
  return value;
}

/** An integer of at least `min`; `fallback` where the key is absent, undefined where it is null. */
export function integerOr<F>(block: ConfigBlock, key: string, fallback: F, min = 0): number | F | undefined {
  const value = rawValue(block, key);
  if (value === undefined) return fallback;
  if (value === null) return undefined;
  if (!isInteger(value, min)) throw wrong(block, key, `an integer of at least ${min}`, value);
  return value;
}

/** An integer that has to be there, absent or null or not. */
export function requiredInteger(block: ConfigBlock, key: string, min = 1): number {
  const value = integerOr(block, key, undefined, min);
  if (value === undefined) throw wrong(block, key, `an integer of at least ${min}`, rawValue(block, key));
  return value;
}

/** A switch, by Python's rules of truth for what YAML can hold; `fallback` where the key is absent. */
export function flagOr(block: ConfigBlock, key: string, fallback: boolean): boolean {
  const value = rawValue(block, key);
  if (value === undefined) return fallback;
  if (value === null || value === 0 || value === "") return false;
  if (value === 1) return true;
  if (typeof value !== "boolean") throw wrong(block, key, "true or false", value);
  return value;
}

/** A text; `fallback` where the key is absent, undefined where it is null. */
export function textOr<F>(block: ConfigBlock, key: string, fallback: F): string | F | undefined {
  const value = rawValue(block, key);
  if (value === undefined) return fallback;
  if (value === null) return undefined;
  if (typeof value !== "string") throw wrong(block, key, "a text", value);
  return value;
}

/**
 * One of several names; `fallback` where the key is absent.
 * @throws SpeechError `MODEL_UNSUPPORTED` for any other value.
 */
export function choiceOr<T extends string>(block: ConfigBlock, key: string, choices: readonly T[], fallback: T): T {
  const value = rawValue(block, key);
  if (value === undefined) return fallback;
  const choice = choices.find((c) => c === value);
  if (choice === undefined) throw unsupportedValue(block, key, `one of ${choices.map(quoted).join(", ")}`);
  return choice;
}

/** A list of integers, or one integer as a list of one; undefined where the key is absent or null. */
export function integersOf(block: ConfigBlock, key: string, min: number): number[] | undefined {
  const value = rawValue(block, key);
  if (value === undefined || value === null) return undefined;
  const list = Array.isArray(value) ? value : [value];
  for (const item of list) if (!isInteger(item, min)) throw wrong(block, key, `integers of at least ${min}`, value);
  return list;
}

/** A list of numbers of a given length. */
export function numbersOf(block: ConfigBlock, key: string, length: number): number[] {
  const value = rawValue(block, key);
  const list: unknown[] = Array.isArray(value) ? value : [];
  const numbers = list.filter((v): v is number => typeof v === "number" && Number.isFinite(v));
  if (numbers.length !== length || list.length !== length) throw wrong(block, key, `${length} numbers`, value);
  return numbers;
}

/** A list of texts (numbers are taken as their text, as YAML reads labels such as `0`); undefined where absent or null. */
export function textsOf(block: ConfigBlock, key: string): string[] | undefined {
  const value = rawValue(block, key);
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw wrong(block, key, "a list of texts", value);
  return value.map((item: unknown) => {
    if (typeof item === "string") return item;
    if (typeof item === "number" || typeof item === "boolean") return String(item);
    throw wrong(block, key, "a list of texts", value);
  });
}

/** Marks keys that have no effect on what is computed at inference. */
export function ignoreKeys(block: ConfigBlock, keys: readonly string[]): void {
  for (const key of keys) block.read.add(key);
}

/**
 * Closes a block: a key that nobody has read and that is switched on could change the numbers.
 * @throws SpeechError `MODEL_UNSUPPORTED`, naming the key and its value.
 */
export function rejectUnknownKeys(block: ConfigBlock): void {
  for (const [key, value] of Object.entries(block.values)) {
    if (block.read.has(key) || value === null || value === false || value === undefined) continue;
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`${pathOf(block, key)}\` is ${shown(value)}, an option that is not known here and could change the result.`,
    );
  }
}

/** The last part of a block's class path: `_target_`, or `cls` in configurations of 2020. */
export function targetOf(block: ConfigBlock): string | undefined {
  const path = textOr(block, "_target_", undefined) ?? textOr(block, "cls", undefined);
  ignoreKeys(block, ["_target_", "cls"]);
  return path?.split(".").at(-1);
}

/** An error about a value of the configuration that makes no sense. */
export function wrong(block: ConfigBlock, key: string, expected: string, value: unknown): SpeechError {
  return invalid(`\`${pathOf(block, key)}\`: expected ${expected}, got ${shown(value)}.`);
}

/** An error about a value that NeMo may know and that is not supported here. */
export function unsupportedValue(block: ConfigBlock, key: string, expected: string): SpeechError {
  return modelError(
    "MODEL_UNSUPPORTED",
    `model_config.yaml: \`${pathOf(block, key)}\` is ${shown(rawValue(block, key))}, supported is ${expected}.`,
  );
}

/** An error about a model. Names and values in it come from the file and may have any length; the message has not. */
export function modelError(code: ErrorCode, message: string): SpeechError {
  const isLong = message.length > MAX_MESSAGE_LENGTH;
  return new SpeechError(code, isLong ? `${message.slice(0, MAX_MESSAGE_LENGTH)}…` : message);
}

/** A contradiction inside `model_config.yaml`. */
export function invalid(sentence: string): SpeechError {
  return modelError("MODEL_INVALID", `model_config.yaml: ${sentence}`);
}

/** A value as it is shown in messages, never longer than a line. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

const quoted = (text: string): string => `"${text}"`;

function isInteger(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Hydra 0.x wrote `{cls, params: {…}}`; NeMo moves the parameters up (`maybe_update_config_version`). */
function flattened(values: Record<string, unknown>): Record<string, unknown> {
  const { params, ...rest } = values;
  return isMapping(params) ? { ...rest, ...params } : values;
}
