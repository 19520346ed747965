import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openRecorder, type RecordedCall } from "../../src/gateway/recorder.ts";
import { parseSessionName } from "../../src/gateway/session-name.ts";

const folder = mkdtempSync(join(tmpdir(), "nemo-stt-recorder-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a call's parties stand by channel, whichever's file was there first", async () => {
  const recorder = openRecorder(folder, () => 0);
  await recorder.prepare();
  const format = { encoding: "ulaw", sampleRateHz: 8000, numChannels: 1 } as const;
  for (const [channel, startMs] of [
    [1, 300],
    [0, 900],
    [0, 100],
  ]) {
    const name = parseSessionName(`k-${channel}?call=k&channel=${channel}&parties=2`);
    const recording = await recorder.open(name, format, startMs);
    await recording.write(new Float32Array(startMs));
    await recording.close();
  }
  await recorder.open(parseSessionName("k-2?call=k&channel=2"), format, 0);
  await recorder.close();
  const [description] = readdirSync(folder).filter((name) => name.endsWith(".json"));
  const call: RecordedCall = JSON.parse(readFileSync(join(folder, description), "utf8"));
  expect(call.parties.map(({ channelNumber, startMs, numSamples }) => [channelNumber, startMs, numSamples])).toEqual([
    [0, 100, 100],
    [0, 900, 900],
    [1, 300, 300],
    [2, 0, 0],
  ]);
});
