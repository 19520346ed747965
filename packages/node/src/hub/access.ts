import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { hubHome } from "./cache.ts";
import type { HubAccess, HubTiming } from "./requests.ts";

/** What a caller says about the hub; what is left out comes from the environment. */
export interface AccessOptions {
  readonly revision?: string;
  readonly endpoint?: string;
  readonly token?: string;
  readonly signal?: AbortSignal;
}

/**
 * Brings together where a model is asked for and as whom, by the variables that every client of the hub reads.
 * @throws SpeechError `NETWORK_FAILED`, `NOT_FOUND` for values that cannot be meant
 */
export async function hubAccess(hubName: string, options: AccessOptions, timing: HubTiming): Promise<HubAccess> {
  const { revision = "main", signal } = options;
  if (!/^\w[\w.-]*(\/\w[\w.-]*)*$/.test(revision) || revision.includes("..")) {
    throw new SpeechError(
      "NOT_FOUND",
      `${hubName}: expected a branch, tag or commit, got \`${revision}\`. Check --revision.`,
    );
  }
  const endpoint = endpointOf(options.endpoint || process.env.HF_ENDPOINT || "https://huggingface.co");
  return { hubName, revision, endpoint, token: await tokenOf(options.token), signal, timing };
}

/** Whether the hub's clients are told to stay off the network. */
export function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const hasMore = url && (url.username || url.search || url.hash);
  if (url && !hasMore && /^https?:$/.test(url.protocol)) return url.href.replace(/\/+$/, "");
  const got = hasMore ? `${url.origin} with a user or a query` : text;
  throw new SpeechError(
    "NETWORK_FAILED",
    `HF_ENDPOINT: expected an address such as https://huggingface.co, got \`${got}\`. Correct or unset it.`,
  );
}

/** The token given, or that of the environment, or that of `hf auth login`; the text of a broken one is not shown. */
async function tokenOf(given: string | undefined): Promise<string | undefined> {
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH } = process.env;
  const token = (
    given ||
    HF_TOKEN ||
    HUGGING_FACE_HUB_TOKEN ||
    (await readFile(HF_TOKEN_PATH || join(hubHome(), "token"), "utf8").catch(() => ""))
  ).trim();
  if (/^[\x21-\x7e]*$/.test(token)) return token || undefined;
  throw new SpeechError(
    "NETWORK_FAILED",
    "HF_TOKEN: expected a token of letters and digits, got other characters in it. Copy it again.",
  );
}
