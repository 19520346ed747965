import { SpeechError } from "../errors.ts";
import type { GraphSession, ValueInfo } from "../runtime.ts";
import { int32, int64, type Tensor } from "../tensor.ts";

/** A loaded graph and what to call it in messages. */
export interface NamedSession {
  readonly where: string;
  readonly session: GraphSession;
}

/** A port as it has to be: one of some names, else at a place, and in any case of a kind. */
export interface WantedPort {
  readonly names: readonly string[];
  /** Where it stands in graphs whose ports have other names. */
  readonly position: number;
  readonly rank: number;
  readonly kind: "float" | "integer";
}

/** Finds a port of a graph; undefined where there is none. */
export function findPort(ports: readonly ValueInfo[], wanted: WantedPort): ValueInfo | undefined {
  const fits = (port: ValueInfo | undefined): port is ValueInfo => port !== undefined && isOf(port, wanted);
  return ports.find((port) => wanted.names.includes(port.name) && fits(port)) ?? [ports[wanted.position]].find(fits);
}

/** Whether a port carries what is wanted. */
export function isOf(port: ValueInfo, { rank, kind }: Pick<WantedPort, "rank" | "kind">): boolean {
  const isKind = kind === "float" ? port.type === "float32" : port.type === "int32" || port.type === "int64";
  return isKind && port.dims.length === rank;
}

/**
 * Finds a port that a graph has to have.
 * @throws SpeechError `MODEL_UNSUPPORTED` listing the ports there are
 */
export function requirePort({ where, session }: NamedSession, side: "input" | "output", wanted: WantedPort): ValueInfo {
  const ports = side === "input" ? session.inputs : session.outputs;
  const found = findPort(ports, wanted);
  if (found) return found;
  const kind = wanted.kind === "float" ? "float32" : "int32 or int64";
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${where}: expected an ${side} \`${wanted.names[0]}\` of ${kind} with ${wanted.rank} axes, got ${ports.map(describePort).join(", ")}. It is no graph of a NeMo model that runs here.`,
  );
}

/**
 * Checks that nothing but these inputs has to be fed.
 * @throws SpeechError `MODEL_UNSUPPORTED`, for graphs with caches with the reason
 */
export function refuseOtherInputs({ where, session }: NamedSession, known: readonly (ValueInfo | undefined)[]): void {
  const other = session.inputs.filter((port) => !known.includes(port));
  if (other.length === 0) return;
  const isStreaming = other.some((port) => port.name.startsWith("cache_"));
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    isStreaming
      ? `${where}: expected a graph for whole recordings, got a streaming export, with inputs for caches (${other.map((port) => `\`${port.name}\``).join(", ")}). Export the model without cache support, or use its .nemo.`
      : `${where}: expected no inputs beyond ${known.flatMap((port) => (port ? [`\`${port.name}\``] : [])).join(", ")}, got ${other.map(describePort).join(", ")}. It is no graph of a NeMo model that runs here.`,
  );
}

/** Integers in the type that a port has. */
export function integersFor(port: ValueInfo, values: ArrayLike<number>, dims: readonly number[]): Tensor {
  return port.type === "int32" ? int32(values, dims) : int64(values, dims);
}

function describePort({ name, type, dims }: ValueInfo): string {
  return `\`${name}\` ${type} [${dims.map((dim) => (dim < 0 ? "?" : dim)).join(", ")}]`;
}
