import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { hashFinals } from "../hash-engine.ts";
import { app, blocks, noise, sessionApp, start, until, wholeShape } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "nemo-stt-restart-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it("is started again in mid-audio, three times, and nothing is lost or repeated", async () => {
  const stateFile = join(folder, "state.json");
  let started = await start({ stateFile });
  const ports = { audioPort: started.audio.port, textPorts: [{ port: started.text.port }] };
  const apps = [1, 2, 3].map((n) => ({
    sound: noise(5 + n / 7, n),
    one: sessionApp(started, `s${n}`, "", 5),
    isDone: false,
  }));
  const sending = apps.map(async (entry) => {
    for (const { bytes, timestampMs } of blocks(entry.sound, 1999)) {
      await entry.one.session.submit(bytes, timestampMs);
      await pause(10);
    }
    await entry.one.session.submitFinal();
    entry.isDone = true;
    await entry.one.session.done;
  });
  for (let n = 0; n < 3; n++) {
    await pause(150);
    await until(() => started.gateway.table.sessions.size === 3);
    await started.gateway.drain();
    expect(statSync(stateFile).mode & 0o777).toBe(0o600);
    expect(started.events.filter(({ type }) => type === "call-ended" || type === "session-ended")).toEqual([]);
    await pause(20);
    started = await start({ stateFile, ...ports });
    expect(existsSync(stateFile)).toBe(false);
  }
  expect(apps.some(({ isDone }) => isDone)).toBe(false);
  await Promise.all(sending);
  for (const { sound, one } of apps) expect(one.shape()).toBe([...(await hashFinals(sound, 16_000)), "$"].join(" | "));
  await until(() => started.events.filter(({ type }) => type === "call-ended").length === 3);
});

it("keeps finals that nobody has taken for readers of the next gateway", async () => {
  const stateFile = join(folder, "kept.json");
  const first = await start({ stateFile });
  const sound = noise(0.5, 5);
  const silent = app({ ...first, text: first.audio }, "c1", 5);
  silent.composite.source.close();
  for (const { bytes, timestampMs } of blocks(sound, 3200)) await silent.composite.submit(bytes, timestampMs);
  await silent.composite.submitFinal();
  await until(() => first.gateway.table.sessions.size === 0);
  await first.gateway.drain();
  const second = await start({ stateFile });
  const one = app(second, "c1", 5);
  await one.composite.done;
  expect(one.shape()).toBe(await wholeShape(sound));
});

it("refuses a state that is none, and leaves it where it is", async () => {
  const stateFile = join(folder, "broken.json");
  for (const [text, got] of [
    ["{", "no JSON"],
    ['{"schema":"x"}', "the schema x"],
  ]) {
    writeFileSync(stateFile, text);
    await expect(start({ stateFile })).rejects.toMatchObject({
      code: "STATE_INVALID",
      message: expect.stringContaining(got),
    });
    expect(existsSync(stateFile)).toBe(true);
  }
  await expect(start({ stateFile: join(stateFile, "x") })).rejects.toMatchObject({ code: "WRITE_FAILED" });
});
