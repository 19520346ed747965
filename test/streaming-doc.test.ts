import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs/streaming.md"), "utf8");
const isBuilt = existsSync(join(root, "packages/node/dist/index.js"));
// Where the names of packages are found.
const scratch = mkdtempSync(join(root, "node_modules/.streaming-doc-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What the page does not say: where packets come from. */
const PACKETS = `
import { openAudio } from "@nemo-stt/node";

const audio = await openAudio(process.argv[2]);
async function* blocks() {
  // The page's stream is at 48 kHz, the recording at 16 kHz.
  for await (const [samples] of audio.blocks()) yield Float32Array.from({ length: 3 * samples.length }, (_, i) => samples[Math.floor(i / 3)]);
}
const packets = blocks();
`;

test.skipIf(!isBuilt)(
  "the program of docs/streaming.md runs as it stands, and writes what is said",
  async () => {
    const programs = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
    expect(programs).toHaveLength(1);
    const script = join(scratch, "example.mjs");
    writeFileSync(script, `${PACKETS}${programs[0]}await audio.close();\n`);
    const recording = join(root, "examples/audio/garden-slt.wav");
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, recording]);
    expect(stderr).toBe("");
    expect(stdout).toContain("she opened the window and looked out upon the garden");
  },
  120_000,
);
