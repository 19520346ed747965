// Makes docs/images: the gateway's page while the bundled model hears calls in real time.
//   npm run build && node tools/make-screenshots.mjs
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEngine } from "@nemo-stt/node";
import { listCalls, replayCalls, serveHttp, startGateway } from "@nemo-stt/streams";
import { hasChromium, openChromium } from "./chromium.mjs";

const root = join(import.meta.dirname, "..");
const images = join(root, "docs/images");
const MAX_BYTES = 200_000;
/** Calls begin one after another. */
const CALLS = ["call-1041", "call-1042", "call-1043"];
const DELAY_MS = 2500;

if (!hasChromium) throw new Error("screenshots: expected a Chromium, got none. Install Debian's package chromium.");
mkdirSync(images, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), "nemo-stt-screenshots-"));
const quiet = { info: () => {}, warn: console.error, error: console.error };
const engine = await openEngine();
const gateway = await startGateway({ engine, audioPort: 0, textPorts: [{ port: 0 }], attContext: [70, 1], log: quiet });
const http = await serveHttp(gateway, { port: 0 });
const browser = await openChromium({ viewport: { width: 1280, height: 560 }, colorScheme: "light" });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function shoot(name) {
  const path = join(images, `${name}.png`);
  await browser.page.screenshot({ path });
  const { size } = statSync(path);
  if (size > MAX_BYTES) throw new Error(`${path}: expected at most ${MAX_BYTES} bytes, got ${size}.`);
  console.log(`docs/images/${name}.png: ${size} bytes`);
}

async function play(name, i) {
  await pause(i * DELAY_MS);
  const path = join(folder, `${name}.wav`);
  symlinkSync(join(root, "examples/audio/call-ulaw-8k.wav"), path);
  const calls = await listCalls(path);
  const [callId] = calls.map((call) => call.callId);
  const parties = calls[0].parties.map((party, n) => ({ ...party, phoneNumber: `555-01${n ? "00" : `4${i}`}` }));
  const peer = (port) => ({ host: "127.0.0.1", port });
  const options = { audio: peer(gateway.audioPort), text: peer(gateway.textPorts[0]), isRealTime: true, blockMs: 40 };
  await replayCalls([{ callId, parties }], options);
}

try {
  await browser.page.goto(`http://127.0.0.1:${http.port}/`);
  const played = Promise.all(CALLS.map(play));
  await pause(15_500);
  await shoot("calls");
  await browser.page.emulateMedia({ colorScheme: "dark" });
  await pause(300);
  await shoot("calls-dark");
  await played;
} finally {
  await browser.close();
  await http.close();
  await gateway.close();
  await engine.close();
  rmSync(folder, { recursive: true });
}
