import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createProgram, processConsole } from "../src/index.ts";
import { lines, run, runProcess, scratch } from "./harness.ts";

const commands = createProgram(processConsole()).commands.map((command) => command.name());

describe("the command line", () => {
  test("--version and --help on standard output, status 0", async () => {
    const version = await run("--version");
    expect(version).toMatchObject({ status: 0, err: "" });
    expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await run("--help");
    expect(help).toMatchObject({ status: 0, err: "" });
    for (const name of commands) expect(help.out).toMatch(new RegExp(`^ {2}${name} `, "m"));
    expect(help.out).toContain("Exit status:\n  0    done\n");
  });

  test.each(commands)("%s --help: options, and an example that begins as one is typed", async (name) => {
    const { status, out } = await run(name, "--help");
    const examples = out
      .slice(out.search(/^Examples?:$/m))
      .split("\n")
      .slice(1)
      .filter((line) => line !== "");
    expect(examples.length).toBeGreaterThan(0);
    for (const line of examples) expect(line).toMatch(new RegExp(`^  .*(nemo-stt ${name} |run_nemo_test)`));
    expect(status).toBe(0);
  });

  test("every example of the help texts is a command line that parses", async () => {
    for (const name of commands) {
      const { out } = await run(name, "--help");
      for (const [, args] of out.slice(out.search(/^Examples?:$/m)).matchAll(/nemo-stt ([^&>|\n]+)/g)) {
        const program = createProgram({
          out: () => {},
          err: () => {},
          progress: () => ({ update: () => {}, stop: () => {} }),
        });
        for (const command of program.commands) command.action(() => {});
        await expect(program.parseAsync(args.trim().split(" "), { from: "user" }), args).resolves.toBeDefined();
      }
    }
  });

  test.each([
    [["no-such-command"], "error: unknown command 'no-such-command'", "(nemo-stt --help shows all commands)"],
    [
      ["transcrib"],
      "error: unknown command 'transcrib'\n(Did you mean transcribe?)",
      "(nemo-stt --help shows all commands)",
    ],
    [
      ["transcribe"],
      "error: missing required argument 'audio'",
      "(nemo-stt transcribe --help shows its options and examples)",
    ],
    [
      ["inspect", "x", "--tensor"],
      "error: unknown option '--tensor'\n(Did you mean --tensors?)",
      "(nemo-stt inspect --help shows its options and examples)",
    ],
    [
      ["try", "--audio-file", "x"],
      "error: required option '-m, --nemo-model <model>' not specified",
      "(nemo-stt try --help shows its options and examples)",
    ],
  ])("%j is wrong: status 64 and what to do", async (args, message, hint) => {
    const { status, out, err } = await run(...args);
    expect(err.trimEnd()).toBe(`${message}\n${hint}`);
    expect([status, out]).toEqual([64, ""]);
  });

  test("nothing to do: help on standard error, status 64", async () => {
    const { status, out, err } = await run();
    expect(err).toContain("Usage: nemo-stt");
    expect([status, out]).toEqual([64, ""]);
  });
});

describe("completion", () => {
  const shells = ["bash", "zsh", "fish"].filter((shell) => spawnSync("sh", ["-c", `command -v ${shell}`]).status === 0);

  test.each(["bash", "zsh", "fish"])("%s: every command, option and choice stands in the script", async (shell) => {
    const { status, out } = await run("completion", shell);
    for (const name of commands) expect(out).toContain(name);
    for (const word of ["att-context", "probabilities", "s16le s16be", "text json srt vtt ctm tsv"])
      expect(out).toContain(word);
    expect(status).toBe(0);
  });

  test.each(shells)("%s takes the script", async (shell) => {
    const script = join(scratch, `completion.${shell}`);
    writeFileSync(script, (await run("completion", shell)).out);
    const { status, err } = await runProcess(shell, ["-n", script]);
    expect([status, err]).toEqual([0, ""]);
  });

  test.skipIf(!shells.includes("bash"))(
    "bash completes commands, options, choices, and leaves files to itself",
    async () => {
      const { out: script } = await run("completion", "bash");
      const complete = async (...words: string[]) => {
        const line = words.map((word) => `'${word}'`).join(" ");
        const ask = `${script}\nCOMP_WORDS=(nemo-stt ${line}); COMP_CWORD=${words.length}; _nemo_stt; echo "\${COMPREPLY[@]}"`;
        return lines((await runProcess("bash", ["--norc", "-c", ask])).out)[0];
      };
      expect(await complete("tr")).toBe("transcribe try");
      expect(await complete("transcribe", "talk.wav", "--raw-")).toBe("--raw-encoding --raw-rate --raw-channels");
      expect(await complete("export", "m.nemo", "--layout", "")).toBe("nemo-stt nemo sherpa");
      expect(await complete("completion", "z")).toBe("zsh");
      expect(await complete("transcribe", "ta")).toBe("");
    },
  );

  test.skipIf(!shells.includes("fish"))("fish completes commands, options and choices", async () => {
    const { out: script } = await run("completion", "fish");
    const complete = async (line: string) => {
      const { out } = await runProcess("fish", ["--no-config", "-c", `${script}\ncomplete -C '${line}'`]);
      return lines(out).map((row) => row.split("\t")[0]);
    };
    expect(await complete("nemo-stt tr")).toEqual(["transcribe", "try"]);
    expect(await complete("nemo-stt export --layout ")).toEqual(["nemo", "nemo-stt", "sherpa"]);
  });

  test("a shell that there is none for", async () => {
    const { status, err } = await run("completion", "tcsh");
    expect(err).toContain(
      "error: command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish.",
    );
    expect(status).toBe(64);
  });
});
