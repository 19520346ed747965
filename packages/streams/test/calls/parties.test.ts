import { encodeSamples } from "@nemo-stt/core";
import { describe, expect, it } from "vitest";
import { type ChannelAudioStream, FINAL_MARK, type Item, transcribeCall, tupleItem } from "../../src/index.ts";
import { noise } from "../gateway/harness.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { collect, streamOf, tuples } from "../operators/collect.ts";

const partyOf = (channelNumber: number) => ({
  channelNumber,
  channelRole: "unknown",
  phoneNumber: "",
  speakerId: "",
  additionalMetadata: new Map<string, string>(),
});

function blockOf(channelNumber: number, samples: Float32Array, sampleRate: number, ms: number) {
  const audioData = encodeSamples([samples], "s16le");
  const times = { audioTimestamp: BigInt(ms), sampleRate, bitsPerSample: 16 };
  return tupleItem<ChannelAudioStream>({ audioData, channelInfo: partyOf(channelNumber), ...times });
}

describe("parties of a call", () => {
  it("may change their rate: each stretch is heard at its own", async () => {
    const stretches = [8000, 16_000, 8000].map((rate, i) => ({ rate, ms: 1000 * i, sound: noise(0.5, i + 1, rate) }));
    const items = stretches.map(({ rate, ms, sound }) => blockOf(0, sound, rate, ms));
    const engine = hashEngine();
    const out = tuples(await collect(transcribeCall([streamOf([...items, FINAL_MARK])], { engine })));
    const expected = await Promise.all(stretches.map(async ({ rate, sound }) => (await hashFinals(sound, rate))[0]));
    expect(out.map(({ text, startTime, endTime }) => [text, Number(startTime), Number(endTime)])).toEqual(
      expected.map((text, i) => [text, 1000 * i, 1000 * i + 500]),
    );
    expect(engine.numStreams).toBe(0);
  });

  it("speak in the order of their channel numbers where they begin together, whatever their places", async () => {
    // The third party's final comes last: nobody with a higher number may go before it.
    let release = () => {};
    const isHeld = new Promise<void>((resolve) => {
      release = resolve;
    });
    const channels = [1, 2, 0];
    const parties = channels.map((channel, place) => {
      const rest = [FINAL_MARK] as Item<ChannelAudioStream>[];
      const blocks = [blockOf(channel, noise(0.3, channel + 1, 8000), 8000, 1000)];
      let isBegun = false;
      return new ReadableStream<Item<ChannelAudioStream>>({
        async pull(controller) {
          if (!isBegun) controller.enqueue(blocks[0]);
          else {
            if (place === 2) await isHeld;
            for (const item of rest) controller.enqueue(item);
            controller.close();
          }
          isBegun = true;
        },
      });
    });
    const merged = transcribeCall(parties, { engine: hashEngine(), maxWaitMs: 60_000 });
    setTimeout(release, 100);
    const out = tuples(await collect(merged));
    expect(out.map(({ channelInfo }) => channelInfo.channelNumber)).toEqual([0, 1, 2]);
  });

  it("are refused samples of another size, by name and with what to do", async () => {
    const failures: unknown[] = [];
    const { tuple } = blockOf(0, noise(0.1, 1, 8000), 8000, 0) as { tuple: ChannelAudioStream };
    const wrong = streamOf([tupleItem({ ...tuple, bitsPerSample: 8 }), FINAL_MARK]);
    const onPartyFailed = (_: number, error: unknown) => void failures.push(error);
    await collect(transcribeCall([wrong], { engine: hashEngine(), onPartyFailed }));
    expect(String(failures)).toBe(
      "RangeError: transcribeCall: expected 16 bits for each sample, got 8. Split the call with AudioChannelSplitter.",
    );
  });
});
