import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import type { SavedLog } from "./journal.ts";
import type { SavedSession } from "./session-host.ts";

/** What a gateway leaves for the one that goes on. */
export interface GatewayState {
  /** The number of the start that the sessions know: whoever goes on with them is the same service to them. */
  readonly incarnation: bigint;
  readonly sessions: readonly SavedSession[];
  readonly logs: readonly SavedLog[];
}

const SCHEMA = "nemo-stt/gateway/2";

/**
 * Writes the state, whole or not at all.
 * @throws SpeechError `WRITE_FAILED`
 */
export async function writeState(path: string, state: GatewayState): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    // It holds what callers said: for nobody but the service.
    await writeFile(`${path}.part`, JSON.stringify({ schema: SCHEMA, ...state }, replacer), { mode: 0o600 });
    await rename(`${path}.part`, path);
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new SpeechError("WRITE_FAILED", `${path}: expected a place for the state, got ${got}. Choose another.`, {
      cause,
    });
  }
}

/**
 * Makes sure that a state can be written when the time comes.
 * @throws SpeechError `WRITE_FAILED`
 */
export async function prepareState(path: string): Promise<void> {
  await writeState(`${path}.probe`, { incarnation: 0n, sessions: [], logs: [] });
  await rm(`${path}.probe`);
}

/**
 * Reads the state and takes the file away, so that it is gone on with once; undefined where there is none.
 * @throws SpeechError `STATE_INVALID` for what is none or cannot be read; it is left where it is
 */
export async function takeState(path: string): Promise<GatewayState | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    const got = code === "EISDIR" ? "a folder" : message;
    throw new SpeechError("STATE_INVALID", `${path}: expected a file for the state, got ${got}. Name another.`, {
      cause: error,
    });
  }
  const state = parseState(path, text);
  await rm(path);
  return state;
}

function parseState(path: string, text: string): GatewayState {
  const invalid = (got: string, cause?: unknown) =>
    new SpeechError("STATE_INVALID", `${path}: expected the state of a gateway, got ${got}. Remove it to begin anew.`, {
      cause,
    });
  let state: GatewayState & { readonly schema?: unknown };
  try {
    state = JSON.parse(text, reviver);
  } catch (cause) {
    throw invalid("no JSON", cause);
  }
  if (state?.schema !== SCHEMA) throw invalid(`the schema ${String(state?.schema)}`);
  if (typeof state.incarnation !== "bigint" || !Array.isArray(state.sessions) || !Array.isArray(state.logs))
    throw invalid("no sessions, logs and number");
  return state;
}

/** Bytes as base64, whole numbers of 64 bits as text. */
function replacer(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  if (original instanceof Uint8Array) return { $bytes: Buffer.from(original).toString("base64") };
  if (typeof original === "bigint") return { $integer: `${original}` };
  return value;
}

function reviver(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value) return new Uint8Array(Buffer.from(String(value.$bytes), "base64"));
  if ("$integer" in value) return BigInt(String(value.$integer));
  return value;
}
