import { spawn } from "node:child_process";
import { isIPv6 } from "node:net";
import { isSpeechError, SpeechError } from "@nemo-stt/core";
import type { LiveCall } from "@nemo-stt/streams";
import type { CallsFlags } from "../commands/calls.ts";
import type { Console } from "../console.ts";
import { printable } from "../messages.ts";
import { HTTP_TOKEN_VARIABLE } from "../options.ts";
import { readHttpToken } from "./http-token.ts";

/** A gateway answers at once, or is not there. */
const TIMEOUT_MS = 5000;

/** Prints where a gateway's page is, and a line for each live call. */
export async function showCalls(flags: CallsFlags, console: Console): Promise<void> {
  const { host, httpPort, open, json } = flags;
  const url = `http://${isIPv6(host) ? `[${host}]` : host}:${httpPort}/`;
  const calls = await fetchCalls(url, await readHttpToken(flags));
  if (json) console.out(JSON.stringify(calls));
  else {
    console.out(url);
    for (const call of calls) console.out(lineOf(call));
    if (calls.length === 0) console.err("no calls are live");
  }
  if (open) await openBrowser(url, console);
}

async function fetchCalls(url: string, token: string | undefined): Promise<LiveCall[]> {
  const refuse = (got: string, cause?: unknown) =>
    new SpeechError(
      "NETWORK_FAILED",
      `${url}: expected a gateway, got ${got}. Start one with \`nemo-stt gateway\`, or give its --host and --http-port.`,
      { cause },
    );
  let calls: unknown;
  try {
    const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}calls`, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.status === 401) throw new SpeechError("NETWORK_FAILED", wantsToken(url, token));
    calls = await answer.json();
  } catch (error) {
    if (isSpeechError(error)) throw error;
    const { cause = error } = error as { cause?: NodeJS.ErrnoException };
    const { code, message } = cause as NodeJS.ErrnoException;
    throw refuse(error instanceof SyntaxError ? "an answer of something else" : (code ?? message).toString(), error);
  }
  if (!Array.isArray(calls)) throw refuse("an answer of something else");
  return calls;
}

const wantsToken = (url: string, token: string | undefined): string =>
  `${url}: expected calls, got a refusal of ${token === undefined ? "viewers without a token" : "this token"}. ` +
  `Give the gateway's with --http-token-file or ${HTTP_TOKEN_VARIABLE}.`;

/** Who is in a call, for how long, and what was said last. */
function lineOf({ callId, parties, transcript }: LiveCall): string {
  const who = parties.map(({ channelRole }) => channelRole).join(", ");
  const seconds = Math.max(0, ...parties.map(({ heardSec }) => heardSec));
  return [callId, who, `${seconds.toFixed(1)} s`, transcript.at(-1)?.text ?? ""].map(printable).join("\t");
}

/** Opens the page with what the system opens pages with; where there is none, its address was printed. */
async function openBrowser(url: string, console: Console): Promise<void> {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(program, [url], { stdio: "ignore", detached: true });
  await new Promise<void>((resolve) => {
    child.once("error", ({ message }) => {
      console.err(`the page could not be opened: ${message}`);
      resolve();
    });
    child.once("spawn", () => {
      child.unref();
      resolve();
    });
  });
}
