/** A parameter of an operator, as data: behaviour, documents and tests read the same table. */
export interface ParameterSpec {
  readonly type: "rstring" | "int32" | "float64" | "boolean";
  readonly isRequired?: boolean;
  readonly default?: string | number | boolean;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** A value outside of the range that turns it off. */
  readonly off?: number;
  /** `used`: it does what it says. `checked`: a value that contradicts the model is told. `ignored`: told once, by name. */
  readonly effect: "used" | "checked" | "ignored";
  /** What it does, or why it does nothing. */
  readonly text: string;
}

/** An operator as its users see it. */
export interface OperatorSpec {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
}

type ValueOf<P extends ParameterSpec> = P extends { readonly choices: readonly (infer C)[] }
  ? C
  : P["type"] extends "int32" | "float64"
    ? number
    : P["type"] extends "boolean"
      ? boolean
      : string;
type Wanted<T, K extends keyof T> = T[K] extends { readonly isRequired: true } ? K : never;
type Certain<T, K extends keyof T> = T[K] extends { readonly isRequired: true } | { readonly default: unknown }
  ? K
  : never;

/** What a program gives an operator. */
export type Given<T extends Readonly<Record<string, ParameterSpec>>> = {
  readonly [K in keyof T as Wanted<T, K>]: ValueOf<T[K]>;
} & { readonly [K in keyof T]?: ValueOf<T[K]> };

/** What an operator works with: defaults filled in. */
export type Values<T extends Readonly<Record<string, ParameterSpec>>> = {
  readonly [K in keyof T as Certain<T, K>]: ValueOf<T[K]>;
} & { readonly [K in keyof T]?: ValueOf<T[K]> };

/** Where an operator tells what is odd. */
export type Warn = (sentence: string) => void;

/**
 * Checks what an operator was given against its table, fills in defaults, and tells of every parameter that has no effect.
 * @throws TypeError for parameters that are missing, unknown or of another type, RangeError for values outside their range
 */
export function resolveParameters<T extends Readonly<Record<string, ParameterSpec>>>(
  operator: { readonly name: string; readonly parameters: T },
  given: Given<T>,
  warn: Warn,
): Values<T> {
  const { name, parameters } = operator;
  if (typeof given !== "object" || given === null)
    throw new TypeError(
      `${name}: expected its parameters as an object, got ${given === null ? "null" : typeof given}. Give {} for none.`,
    );
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(parameters, key)) continue;
    const known = Object.keys(parameters).join(", ");
    throw new TypeError(
      `${name}.${key}: expected one of its parameters (${known}), got a name that is none of them. Correct it, or leave it out.`,
    );
  }
  for (const [key, spec] of Object.entries(parameters)) {
    const value = (given as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) {
      if (spec.isRequired)
        throw new TypeError(`${name}.${key}: expected a value, got none. Give one: the parameter is required.`);
      if (spec.default !== undefined) values[key] = spec.default;
      continue;
    }
    checkValue(`${name}.${key}`, spec, value);
    values[key] = value;
    if (spec.effect === "ignored") warn(`${name}: the parameter ${key} is accepted and has no effect: ${spec.text}`);
  }
  return values as Values<T>;
}

function checkValue(where: string, spec: ParameterSpec, value: unknown): void {
  const wanted = spec.type === "rstring" ? "string" : spec.type === "boolean" ? "boolean" : "number";
  if (typeof value !== wanted || (spec.type === "int32" && !Number.isInteger(value))) {
    throw new TypeError(
      `${where}: expected ${spec.type}, got ${typeof value === "number" ? value : typeof value}. Give one.`,
    );
  }
  if (spec.choices && !spec.choices.includes(value as string)) {
    throw new RangeError(
      `${where}: expected one of ${spec.choices.join(", ")}, got ${value}. Give one of them, or leave it out where it has a default.`,
    );
  }
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, off } = spec;
  if (wanted === "number" && value !== off && !((value as number) >= min && (value as number) <= max)) {
    const range = `${off === undefined ? "" : `${off}, or `}a value in [${spec.min}, ${spec.max}]`;
    throw new RangeError(`${where}: expected ${range}, got ${value}. Give another, or leave it out.`);
  }
}
