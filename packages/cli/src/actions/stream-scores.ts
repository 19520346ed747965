import {
  type FinalEvent,
  type Head,
  type ModelPackage,
  openLocalEngine,
  type SpeechEngine,
  type StreamMode,
} from "@nemo-stt/core";
import { nodeRuntime } from "@nemo-stt/node";
import type { ManifestEntry } from "./manifest.ts";
import { readWaveform } from "./recordings.ts";

/** Recordings that are streamed side by side, in the same batches. */
const NUM_STREAMS = 16;

/** Fed at a time; what comes of it does not depend on that. */
const PACKET_SEC = 1;

/** Opens a model for the streams of a manifest. */
export function openScoringEngine(model: ModelPackage): Promise<SpeechEngine> {
  return openLocalEngine(model, nodeRuntime(), { maxStreams: NUM_STREAMS, now: () => performance.now() / 1000 });
}

/** Streams recordings through one latency mode, as fast as they go, and gives the text of each. */
export async function streamTexts(
  engine: SpeechEngine,
  entries: readonly ManifestEntry[],
  { head, mode, onProgress }: { head: Head; mode: StreamMode; onProgress: (numDone: number) => void },
): Promise<string[]> {
  const texts: string[] = [];
  for (let start = 0; start < entries.length; start += NUM_STREAMS) {
    const group = entries.slice(start, start + NUM_STREAMS);
    const streamed = group.map(({ path }) => streamText(engine, path, { head, attContext: mode.attContext }));
    texts.push(...(await Promise.all(streamed)));
    onProgress(texts.length);
  }
  return texts;
}

async function streamText(
  engine: SpeechEngine,
  path: string,
  options: { head: Head; attContext: readonly number[] },
): Promise<string> {
  const samples = await readWaveform(path, engine.sampleRateHz, () => {});
  const finals: FinalEvent[] = [];
  const stream = await engine.open(options, (event) => {
    if (event.type === "final") finals.push(event);
  });
  const size = PACKET_SEC * engine.sampleRateHz;
  for (let at = 0; at < samples.length; at += size) await stream.feed(samples.subarray(at, at + size));
  await stream.finish();
  return finals.reduce((text, final) => text + (text === "" || final.joinsPrevious ? "" : " ") + final.text, "");
}
