import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { type Console, runCli } from "../src/index.ts";

/** A folder for one test file; also the cache, so that nothing outside of it is read or left behind. */
export const scratch = mkdtempSync(join(tmpdir(), "nemo-stt-cli-"));
process.env.NEMO_STT_CACHE = join(scratch, "cache");
process.env.HF_HOME = join(scratch, "hub");
for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"]) delete process.env[name];
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The recordings that come with the project. */
export const examples = join(root, "examples", "audio");
export const morning = join(examples, "morning-rms.wav");
export const garden = join(examples, "garden-slt.wav");
export const call = join(examples, "call-ulaw-8k.wav");

/** What a command line did. */
export interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process. */
export async function run(...args: string[]): Promise<Ran & { readonly bars: readonly string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const bars: string[] = [];
  const console: Console = {
    out: (text) => out.push(`${text}\n`),
    err: (text) => err.push(`${text}\n`),
    progress: (label) => {
      bars.push(label);
      return { update: () => {}, stop: () => {} };
    },
  };
  const status = await runCli(args, console);
  return { status, out: out.join(""), err: err.join(""), bars };
}

/** The built program and the script around it. */
export const packageFolder = join(root, "packages", "cli");
export const program = join(packageFolder, "dist", "bin.js");
export const standaloneTest = join(root, "run_nemo_test.sh");
export const isBuilt = existsSync(program);

/** Runs a program and waits for its end. */
export function runProcess(
  command: string,
  args: readonly string[],
  { input, signal, cwd = scratch }: { input?: Uint8Array; signal?: NodeJS.Signals; cwd?: string } = {},
): Promise<Ran & { readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => err.push(bytes));
    child.on("error", reject);
    // A program that ends without reading its input closes the pipe under the writer: what it printed still counts.
    child.stdin.on("error", (error: NodeJS.ErrnoException) => error.code === "EPIPE" || reject(error));
    child.on("close", (status, endedBy) =>
      resolve({ status, signal: endedBy, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
    );
    if (signal) setTimeout(() => child.kill(signal), 500);
    else child.stdin.end(input ?? "");
  });
}

/** Runs the built program. */
export const runBuilt = (args: readonly string[], options?: Parameters<typeof runProcess>[2]) =>
  runProcess(process.execPath, [program, ...args], options);

/** The lines of an output, without the last line's end. */
export const lines = (text: string): string[] => text.replace(/\n$/, "").split("\n");

/** One JSON object a line. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of every kind
export const jsonLines = (text: string): any[] => lines(text).map((line) => JSON.parse(line));
