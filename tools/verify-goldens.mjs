// Compares every stage of every fixture with what NeMo computed, where the maintainers' reference folder stands beside
// the project; without it says so and does nothing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const goldens = process.argv[2] ?? join(root, "..", "shared", "golden");
if (!existsSync(goldens)) {
  console.log("skipped: needs ../shared/golden");
  process.exit(0);
}
const cli = join(root, "packages", "cli", "dist", "bin.js");
process.exit(spawnSync(process.execPath, [cli, "verify", "--all", goldens], { stdio: "inherit" }).status ?? 1);
