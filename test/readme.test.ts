import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

// The commands of the README run what was built; `npm test` builds first.
test.skipIf(!existsSync(`${root}packages/cli/dist/bin.js`))("the README prints what its commands print", () => {
  const { status, stderr } = spawnSync(process.execPath, ["tools/make-readme.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
