import { setTimeout as wait } from "node:timers/promises";
import { SpeechError } from "@nemo-stt/core";

/** Time as a pull spends it; tests bring their own. */
export interface HubTiming {
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<unknown>;
  /** A connection that is silent for so long is given up, and tried again. */
  readonly stallMs: number;
}

/** The clock on the wall. */
export const REAL_TIME: HubTiming = { sleep: (ms, signal) => wait(ms, undefined, { signal }), stallMs: 30_000 };

/** Which model is asked for, where, and as whom. */
export interface HubAccess {
  readonly hubName: string;
  readonly revision: string;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly timing: HubTiming;
}

/** What one attempt came to: a value, or a failure that another attempt may not have. */
export type Attempt<T> = { readonly value: T } | Setback;

/** A failure that may pass. */
export interface Setback {
  readonly failure: SpeechError;
  /** How long the server wants to be left alone. */
  readonly afterMs?: number;
  /** Data arrived before the failure, so that going on is worth it. */
  readonly isProgress?: boolean;
  /** Nothing that mends in half a minute, unless it worked a moment ago. */
  readonly isLasting?: boolean;
}

/** So many attempts in a row without progress; with the pauses between them about half a minute. */
const MAX_FUTILE_ATTEMPTS = 6;
/** Nobody waits longer at a terminal for a server that asks for it. */
const MAX_PAUSE_MS = 60_000;

/** Repeats `attempt` after growing pauses until it gives a value or too many in a row came to nothing. */
export async function retrying<T>(access: HubAccess, attempt: () => Promise<Attempt<T>>): Promise<T> {
  let hasWorked = false;
  for (let numFutile = 0; ; ) {
    access.signal?.throwIfAborted();
    const result = await attempt();
    if ("value" in result) return result.value;
    hasWorked ||= result.isProgress === true;
    numFutile = result.isProgress ? 1 : numFutile + 1;
    const pauseMs = Math.max(result.afterMs ?? 0, 1000 * 2 ** (numFutile - 1));
    const isEnough = numFutile === MAX_FUTILE_ATTEMPTS || pauseMs > MAX_PAUSE_MS;
    if (isEnough || (result.isLasting && !hasWorked)) throw result.failure;
    await pauseFor(access, pauseMs);
  }
}

/** Sleeps; an abort ends it with the caller's reason. */
export async function pauseFor({ timing, signal }: HubAccess, ms: number): Promise<void> {
  try {
    await timing.sleep(ms, signal);
  } finally {
    signal?.throwIfAborted();
  }
}

/** An answer whose body is still to be read. */
export interface OpenedAnswer {
  readonly response: Response;
  /** The body's pieces as they come; a pause that is too long, a cut connection or an abort ends them by an error. */
  readonly pieces: () => AsyncGenerator<Uint8Array>;
  /** Gives up the connection if the body was not read to its end. */
  readonly close: () => void;
}

/**
 * Sends one request. The token goes to the hub alone: `fetch` drops it where a redirect leads to another host.
 * @throws SpeechError for what no other attempt would change
 */
export async function openAnswer(
  access: HubAccess,
  url: string,
  init: RequestInit = {},
): Promise<Attempt<OpenedAnswer>> {
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(STALLED), access.timing.stallMs);
  const close = () => {
    clearTimeout(timer);
    stall.abort();
  };
  const headers = new Headers(init.headers);
  const isHub = new URL(url).origin === new URL(access.endpoint).origin;
  if (access.token && isHub) headers.set("authorization", `Bearer ${access.token}`);
  const signal = access.signal ? AbortSignal.any([stall.signal, access.signal]) : stall.signal;
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, signal });
  } catch (error) {
    clearTimeout(timer);
    return unreachable(access, url, error);
  }
  // A range that cannot be had is for the caller to judge.
  if (!response.ok && response.status !== 416) {
    close();
    return refused(access, response);
  }
  async function* pieces() {
    for await (const piece of response.body ?? []) {
      timer.refresh();
      yield piece;
    }
  }
  return { value: { response, pieces, close } };
}

const STALLED = "stalled";

/** What broke a connection, as a failure that may pass; an abort of the caller's is thrown as it is. */
export function unreachable(access: HubAccess, url: string, error: unknown): Setback {
  access.signal?.throwIfAborted();
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { message, code } = (cause instanceof Error ? cause : {}) as { message?: string; code?: string };
  const seconds = access.timing.stallMs / 1000;
  const text = error === STALLED ? `silence for ${seconds} s` : message || code || String(error);
  const failure = new SpeechError(
    "NETWORK_FAILED",
    `${new URL(url).origin}: expected an answer about ${access.hubName}, got ${text}. Check the connection and pull again, which goes on where it stopped; or set HF_ENDPOINT to a mirror.`,
    { cause: error },
  );
  return { failure, isLasting: LASTING.test(code ?? "") };
}

/** A host that does not exist, nobody listening, a certificate that is not accepted. */
const LASTING = /^(ENOTFOUND|ECONNREFUSED|ERR_TLS|CERT|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)/;

/** An answer that is none: a failure that may pass, or one thrown because it will not. */
function refused(access: HubAccess, response: Response): Setback {
  const { status, headers } = response;
  const afterMs = retryAfterMs(headers.get("retry-after"));
  const isHub = new URL(response.url).origin === new URL(access.endpoint).origin;
  const passes = status === 408 || status === 429 || status >= 500;
  // The storage behind the hub signs its addresses for a while: the next attempt gets a fresh one.
  if (!passes && isHub) throw refusal(access, status, headers.get("x-error-code") ?? "");
  const asks = afterMs === undefined ? "" : ` and the wish to be left alone for ${Math.ceil(afterMs / 1000)} s`;
  const advice =
    status === 429 && !access.token
      ? "Wait, or set HF_TOKEN: the hub allows more to those it knows."
      : "Try again later.";
  const failure = new SpeechError(
    "NETWORK_FAILED",
    `${new URL(response.url).origin}: expected an answer about ${access.hubName}, got status ${status}${asks}. ${advice}`,
  );
  return { failure, afterMs };
}

/** Why the hub does not give a model, and what to do about it. */
function refusal(access: HubAccess, status: number, errorCode: string): SpeechError {
  const page = `${access.endpoint}/${access.hubName}`;
  const got = `got status ${status}`;
  if (errorCode === "GatedRepo") {
    const account = access.token ? "with the account of your token" : "and set HF_TOKEN to a token of that account";
    return new SpeechError(
      "NETWORK_FAILED",
      `${page}: expected access, ${got}: the model is gated. Accept its licence on that page, ${account}.`,
    );
  }
  if (errorCode === "RevisionNotFound") {
    return new SpeechError(
      "NOT_FOUND",
      `${page}: expected a revision \`${access.revision}\`, ${got}. Its branches and tags are listed on that page.`,
    );
  }
  if (status === 404 || (status === 401 && !access.token)) {
    const advice = access.token ? "" : " If it is private or gated, set HF_TOKEN.";
    return new SpeechError(
      "NOT_FOUND",
      `${page}: expected a model of that name, ${got}. Check the name; \`nemo-stt models\` lists NVIDIA's.${advice}`,
    );
  }
  const advice =
    status === 401
      ? "The token is not accepted: renew it, or unset HF_TOKEN for a public model."
      : status === 403
        ? "The token may not read this model, or the hub is blocked here: check HF_TOKEN and HF_ENDPOINT."
        : "Check HF_ENDPOINT.";
  return new SpeechError("NETWORK_FAILED", `${page}: expected an answer of the hub, ${got}. ${advice}`);
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
