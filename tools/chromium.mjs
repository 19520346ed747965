// A Chromium for tests and screenshots: the one that the machine has (Debian: `apt-get install chromium`).
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

/** Whether one is installed. */
export const hasChromium = existsSync(CHROMIUM);

/** Opens one with a new profile. Gives its only page, and what closes it and removes the profile. */
export async function openChromium(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "nemo-stt-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS.split(" "),
    ...options,
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { page: context.pages()[0] ?? (await context.newPage()), close };
}
