// What the parts of the page share: the commands that it runs, and how they are shown.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");
export const work = "out/work-plan";
export const hasShared = existsSync(join(root, "../shared/audio/manifest.json"));
export const nemoPython = hasShared ? process.env.NEMO_PYTHON : undefined;
export const bundled = "packages/node/models/nemo-stt-en-tiny.nemo";
export const plans = `${work}/stt_en_conformer_ctc_small.nemo`;
export const raw = hasShared ? "../shared/audio/misc/librispeech-1995-1837-0001.raw" : `${work}/morning-rms.raw`;
export const spoken = hasShared
  ? "it was the first great sorrow of his life it was not so much the loss of the cotton itself but the fantasy the hopes the dreams built around it"
  : "he said that he would come back to the house in the morning it was a long time before any of them spoke again";

rmSync(join(root, work), { recursive: true, force: true });
mkdirSync(join(root, work), { recursive: true });

/** Runs a command line in the project's folder; the text of both outputs as a terminal shows them. */
export function output(command, status = 0) {
  const environment = { ...process.env, NEMO_STT_CACHE: join(root, work, "cache"), npm_config_loglevel: "silent" };
  if (nemoPython) environment.PATH = `${nemoPython}:${process.env.PATH}`;
  const ran = spawnSync("bash", ["-c", `set -o pipefail; exec 2>&1; ${command}`], {
    cwd: root,
    env: environment,
    encoding: "utf8",
  });
  if (ran.status !== status)
    throw new Error(`${command}: expected status ${status}, got ${ran.status}:\n${ran.stdout}`);
  return ran.stdout.replaceAll(`${root}/`, "").trimEnd();
}

/** A block of commands, each with its output below it; a status that is not 0 is shown. */
export function shown(...commands) {
  const parts = commands.map(([command, status = 0]) => {
    const text = output(command, status);
    return [`$ ${command}`, ...(text ? [text] : []), ...(status === 0 ? [] : [`[exit status ${status}]`])].join("\n");
  });
  return ["```", ...parts, "```"].join("\n");
}

/** A path as code, which must be there: a page cannot name a test that is gone. */
export function code(path) {
  if (!existsSync(join(root, path))) throw new Error(`${path}: expected a file that the page names, got nothing.`);
  return `\`${path}\``;
}

export const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
