import { readFile } from "node:fs/promises";
import { tokenProblem } from "@nemo-stt/streams";
import { UsageError } from "../failures.ts";
import { HTTP_TOKEN_VARIABLE, type HttpTokenFlags } from "../options.ts";
import { notFound } from "./recordings.ts";

/**
 * The token of a gateway's HTTP port: from the command line, a file or the environment, in this order; undefined where
 * none of them has one. No message repeats it.
 */
export async function readHttpToken({ httpToken, httpTokenFile }: HttpTokenFlags): Promise<string | undefined> {
  if (httpToken !== undefined && httpTokenFile !== undefined)
    throw new UsageError("expected --http-token or --http-token-file, got both. Leave one out.");
  if (httpToken !== undefined) return checked("--http-token", httpToken);
  if (httpTokenFile !== undefined) {
    const text = await readFile(httpTokenFile, "utf8").catch((cause: unknown) => {
      throw notFound(httpTokenFile, "a file with a token", cause);
    });
    // Editors and `echo` end a line.
    return checked(httpTokenFile, text.replace(/\r?\n$/, ""));
  }
  const fromEnvironment = process.env[HTTP_TOKEN_VARIABLE];
  return fromEnvironment === undefined ? undefined : checked(HTTP_TOKEN_VARIABLE, fromEnvironment);
}

function checked(where: string, token: string): string {
  const problem = tokenProblem(token);
  if (problem !== undefined) throw new UsageError(`${where}: ${problem}. Make one with \`openssl rand -hex 32\`.`);
  return token;
}
