import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const contract = join(root, "../shared/reference/streams.md");
const isBuilt = existsSync(join(root, "examples/dist/live-call.js"));
const page = readFileSync(join(root, "docs/streams.md"), "utf8");

interface Parameter {
  readonly name: string;
  readonly isRequired: boolean;
  /** What stands in parentheses behind it: a default, or choices. */
  readonly told: string | undefined;
}

/** The lines from a heading to the next one of its depth or above. */
function section(text: string, heading: RegExp): string {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => heading.test(line));
  expect(from, `${heading}`).toBeGreaterThanOrEqual(0);
  const length = lines.slice(from + 1).findIndex((line) => /^##/.test(line));
  return lines.slice(from, from + 1 + length).join("\n");
}

/** The parameters that the contract lists for an operator: a row of a table, or a sentence. */
function contracted(text: string): Parameter[] {
  const row = /^\| parameters \|(.*)\|$/m.exec(text)?.[1] ?? /Parameters: (.*?)\.(?= [A-Z])/.exec(text)?.[1] ?? "";
  return [...row.matchAll(/`(\w+)(\*?)`(?: \(([^)]*)\))?/g)].map(([, name, star, told]) => ({
    name,
    isRequired: star === "*",
    told: told && /^["`]?([\w.]+)/.exec(told)?.[1],
  }));
}

/** The rows of an operator's table in our page. */
function documented(text: string) {
  const rows = text.split("\n").filter((line) => /^\| `/.test(line));
  return rows.map((row) => {
    const [, name, values, usual] = row.split(/(?<!\\)\|/).map((part) => part.trim());
    const plain = (cell: string) => cell.replaceAll("`", "");
    return {
      name: plain(name).replace(/ \\\*$/, ""),
      isRequired: name.endsWith("*"),
      usual: plain(usual),
      choices: plain(values).split(", "),
    };
  });
}

test.skipIf(!isBuilt)("docs/streams.md says what the code says, and shows what the sample prints", () => {
  const { status, stderr } = spawnSync(process.execPath, ["tools/make-streams-doc.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  expect([stderr, status]).toEqual(["", 0]);
});

test("links and files that docs/streams.md names are there", () => {
  for (const [, target] of page.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g))
    expect([target, existsSync(join(root, "docs", target))]).toEqual([target, true]);
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-");
  for (const [, file, anchor] of page.matchAll(/\]\(([\w-]*\.md)?#([^)]+)\)/g)) {
    const text = file ? readFileSync(join(root, "docs", file), "utf8") : page;
    expect([...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading))).toContain(anchor);
  }
  for (const [, path] of page.matchAll(/`((?:test|tools|examples|streams|packages)\/[\w./-]+)`/g))
    expect([path, existsSync(join(root, path))]).toEqual([path, true]);
});

test.skipIf(spawnSync("make", ["--version"]).status !== 0)(
  "make says what it needs where Streams is not installed",
  () => {
    const { STREAMS_INSTALL: _, ...env } = process.env;
    for (const folder of ["streams/toolkit", "streams/samples"]) {
      const { status, stderr } = spawnSync("make", ["-C", folder], { cwd: root, env, encoding: "utf8" });
      expect([status, stderr]).toEqual([
        2,
        expect.stringMatching(/STREAMS_INSTALL: expected the folder .*, got nothing\. Set it/),
      ]);
    }
  },
);

test.skipIf(spawnSync("make", ["--version"]).status !== 0)("make clean takes away nothing that is versioned", () => {
  for (const folder of ["streams/toolkit", "streams/samples"]) {
    const { stdout, status } = spawnSync("make", ["-n", "-C", folder, "clean"], { cwd: root, encoding: "utf8" });
    expect(status).toBe(0);
    const removed = /^rm -rf (.*)$/m.exec(stdout)?.[1].split(" ") ?? [];
    expect(removed.length).toBeGreaterThan(0);
    const versioned = spawnSync("git", ["ls-files", ...removed], { cwd: join(root, folder), encoding: "utf8" });
    expect([folder, versioned.stdout]).toEqual([folder, ""]);
  }
});

describe.skipIf(!existsSync(contract))("parameters are those of the contract (needs ../shared)", () => {
  const text = existsSync(contract) ? readFileSync(contract, "utf8") : "";
  test.each(["NeMoSTT", "OnnxSTT", "AudioChannelSplitter", "FileAudioSource", "StereoFileAudioSource"])(
    "%s",
    (name) => {
      const ours = documented(section(page, new RegExp(`^### ${name}$`)));
      const theirs = contracted(section(text, new RegExp(`^## 2\\.\\d ${name}$`)));
      expect(theirs.length).toBeGreaterThan(4);
      const shape = ({ name, isRequired }: { name: string; isRequired: boolean }) => `${name}${isRequired ? " *" : ""}`;
      expect(ours.map(shape)).toEqual(theirs.map(shape));
      for (const [i, { name, told }] of theirs.entries()) {
        const { usual, choices } = ours[i];
        // What is told is the default, or the first of the values that it may have.
        if (told !== undefined) expect([name, usual === "" ? choices[0] : usual]).toEqual([name, told]);
      }
    },
  );
});
