import { spawn } from "node:child_process";
import { isIPv6 } from "node:net";
import { SpeechError } from "@nemo-stt/core";
import type { LiveCall } from "@nemo-stt/streams";
import type { CallsFlags } from "../commands/calls.ts";
import type { Console } from "../console.ts";
import { printable } from "../messages.ts";

/** A gateway answers at once, or is not there. */
const TIMEOUT_MS = 5000;

/** Prints where a gateway's page is, and a line for each live call. */
export async function showCalls({ host, httpPort, open, json }: CallsFlags, console: Console): Promise<void> {
  const url = `http://${isIPv6(host) ? `[${host}]` : host}:${httpPort}/`;
  const calls = await fetchCalls(url);
  if (json) console.out(JSON.stringify(calls));
  else {
    console.out(url);
    for (const call of calls) console.out(lineOf(call));
    if (calls.length === 0) console.err("no calls are live");
  }
  if (open) await openBrowser(url, console);
}

async function fetchCalls(url: string): Promise<LiveCall[]> {
  const refuse = (got: string, cause?: unknown) =>
    new SpeechError(
      "NETWORK_FAILED",
      `${url}: expected a gateway, got ${got}. Start one with \`nemo-stt gateway\`, or give its --host and --http-port.`,
      { cause },
    );
  let calls: unknown;
  try {
    const answer = await fetch(`${url}calls`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    calls = await answer.json();
  } catch (error) {
    const { cause = error } = error as { cause?: NodeJS.ErrnoException };
    const { code, message } = cause as NodeJS.ErrnoException;
    throw refuse(error instanceof SyntaxError ? "an answer of something else" : (code ?? message).toString(), error);
  }
  if (!Array.isArray(calls)) throw refuse("an answer of something else");
  return calls;
}

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
