import { SpeechError } from "../errors.ts";
import { define, isRecord } from "./plain-data.ts";
import { quote } from "./text.ts";

/** Interpolations that refer to interpolations; configurations have one or two. */
const MAX_CHAIN = 32;
/** Values and characters after resolution, so that references to references cannot grow without bound. */
const MAX_RESOLVED = 8_000_000;
/** A value takes about as much memory as so many characters. */
const VALUE_COST = 16;
/** Used in training only. NeMo never resolves what it does not use, so here an interpolation may lead nowhere. */
const TRAINING_KEYS = new Set([
  "train_ds",
  "validation_ds",
  "test_ds",
  "optim",
  "spec_augment",
  "loss",
  "interctc",
  "adapters",
  "variational_noise",
]);

type Path = readonly string[];

interface Resolver {
  readonly root: Record<string, unknown>;
  readonly subtree: Path;
  readonly where: string;
  numResolved: number;
}

/**
 * The sub-tree at `subtree` with OmegaConf's interpolations resolved: `${a.b}` and `${a[0]}` from the root, `${.x}` and
 * `${..x}` from the containing node and its parents, alone (the value itself) or inside text. `\${` is a plain `${`.
 * Missing values (`???`) are left out. A leading `model.` that the root lacks is ignored: configurations saved from an
 * experiment's `model` still refer to it by that name.
 * @throws SpeechError `MODEL_INVALID` (a reference that leads nowhere or to itself, a custom resolver), except under
 * training-only keys, where the text stays; `LIMIT_EXCEEDED`.
 */
export function resolveInterpolations(
  root: Record<string, unknown>,
  subtree: Path,
  where: string,
): Record<string, unknown> {
  const resolver: Resolver = { root, subtree, where, numResolved: 0 };
  let node: unknown = root;
  for (const name of subtree) node = child(node, name);
  return resolveNode(resolver, node, subtree, []) as Record<string, unknown>;
}

/** `chain` holds the references being followed. */
function resolveNode(resolver: Resolver, node: unknown, path: Path, chain: Path): unknown {
  spend(resolver, VALUE_COST);
  if (typeof node === "string") return resolveText(resolver, node, path, chain);
  if (Array.isArray(node)) {
    return node.map((item, i) => (item === "???" ? null : resolveNode(resolver, item, [...path, String(i)], chain)));
  }
  if (!isRecord(node)) return node;
  const map: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(node)) {
    if (item !== "???") define(map, name, resolveNode(resolver, item, [...path, name], chain));
  }
  return map;
}

function resolveText(resolver: Resolver, text: string, path: Path, chain: Path): unknown {
  if (!text.includes("${")) return text;
  try {
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    if (whole !== null) return follow(resolver, whole[1], path, chain);
    return text.replace(/(\\*)\$\{([^{}]*)(\}?)/g, (match, slashes: string, reference: string, end: string) => {
      // Backslashes before ${ escape each other in pairs; an odd one escapes the interpolation.
      const kept = "\\".repeat(slashes.length >> 1);
      if (slashes.length % 2 === 1) return kept + match.slice(slashes.length);
      if (end === "") throw unresolved(resolver, path, reference, "is not closed, or nested");
      const value = textOf(follow(resolver, reference, path, chain), resolver, path, reference);
      spend(resolver, value.length);
      return kept + value;
    });
  } catch (error) {
    const isTraining = TRAINING_KEYS.has(path[resolver.subtree.length]);
    if (isTraining && error instanceof SpeechError && error.code === "MODEL_INVALID") return text;
    throw error;
  }
}

function follow(resolver: Resolver, reference: string, path: Path, chain: Path): unknown {
  const target = locate(resolver, reference, path, chain);
  if (target.node === "???") throw unresolved(resolver, path, reference, "leads to a missing value (???)");
  return resolveNode(resolver, target.node, target.path, target.chain);
}

/** Walks to a reference's target; what is an interpolation on the way is followed. */
function locate(
  resolver: Resolver,
  reference: string,
  from: Path,
  chain: Path,
): { node: unknown; path: Path; chain: Path } {
  const parsed = /^(\.*)([^.:[\]]+(?:\.[^.:[\]]+|\[[^.:[\]]+\])*)$/.exec(reference.trim());
  if (parsed === null) throw unresolved(resolver, from, reference, "is not a plain path of keys");
  const [, dots, keys] = parsed;
  const names = keys.split(/[.[]/).map((name) => name.replace("]", ""));
  if (dots.length > from.length) throw unresolved(resolver, from, reference, "leads above the root");
  const base = dots === "" ? [] : from.slice(0, from.length - dots.length);
  let path: Path = [...base, ...names];
  if (dots === "" && names[0] === "model" && !Object.hasOwn(resolver.root, "model")) path = names.slice(1);
  const id = path.join("\u0000");
  if (chain.includes(id)) throw unresolved(resolver, from, reference, "leads to itself");
  if (chain.length === MAX_CHAIN) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${resolver.where}: \`${from.join(".")}\`: expected at most ${MAX_CHAIN} references in a row. The configuration is broken.`,
    );
  }
  let at: { node: unknown; path: Path; chain: Path } = { node: resolver.root, path: [], chain: [...chain, id] };
  for (const name of path) {
    const whole = typeof at.node === "string" ? /^\$\{([^{}]*)\}$/.exec(at.node) : null;
    if (whole !== null) at = locate(resolver, whole[1], at.path, at.chain);
    const node = child(at.node, name);
    if (node === undefined) throw unresolved(resolver, from, reference, "leads to nothing");
    at = { node, path: [...at.path, name], chain: at.chain };
  }
  return at;
}

function child(node: unknown, name: string): unknown {
  if (Array.isArray(node)) return /^\d{1,9}$/.test(name) ? node[Number(name)] : undefined;
  return isRecord(node) && Object.hasOwn(node, name) ? node[name] : undefined;
}

/** A value inside text, as Python's `str` writes it. */
function textOf(value: unknown, resolver: Resolver, path: Path, reference: string): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "object") throw unresolved(resolver, path, reference, "leads to a collection, inside text");
  return String(value);
}

function spend(resolver: Resolver, amount: number): void {
  resolver.numResolved += amount;
  if (resolver.numResolved > MAX_RESOLVED) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${resolver.where}: expected at most ${MAX_RESOLVED} characters or ${MAX_RESOLVED / VALUE_COST} values, interpolations resolved. The configuration is broken.`,
    );
  }
}

function unresolved(resolver: Resolver, path: Path, reference: string, why: string): SpeechError {
  return new SpeechError(
    "MODEL_INVALID",
    `${resolver.where}: ${quote(path.join("."))}: interpolation ${quote(`\${${reference}}`)} ${why}. Write the value itself.`,
  );
}
