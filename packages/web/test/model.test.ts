import { openRecognizer } from "@nemo-stt/core";
import { nodeRuntime } from "@nemo-stt/node";
import { expect, test } from "vitest";
import { bundled, recording } from "../../core/test/recognition/bundled.ts";
import { webRuntime } from "../src/index.ts";

test("the bundled model, exported in memory, gives the same transcripts in wasm as in Node", async () => {
  const [model, waveform] = await Promise.all([bundled("speech"), recording("garden-slt")]);
  await using web = await openRecognizer(model, webRuntime());
  await using node = await openRecognizer(model, nodeRuntime());
  for (const head of ["ctc", "transducer"] as const) {
    const [[here], [there]] = await Promise.all([web, node].map((r) => r.transcribe([waveform], { head })));
    const facts = ({ tokens }: typeof here) => tokens.map(({ id, startStep, endStep }) => [id, startStep, endStep]);
    expect(here.text).toMatch(/^she opened the window/);
    expect(here.text).toBe(there.text);
    expect(facts(here)).toEqual(facts(there));
  }
});
