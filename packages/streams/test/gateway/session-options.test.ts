import { describe, expect, it } from "vitest";
import { hashFinals } from "../hash-engine.ts";
import { blocks, noise, type SessionApp, sessionApp, start, until } from "./harness.ts";

// What the toolkit's composites say behind a session's name, and how their readers end.

async function say({ session }: SessionApp, sound: Float32Array): Promise<void> {
  for (const { bytes, timestampMs } of blocks(sound, 3200)) await session.submit(bytes, timestampMs);
}

const texts = async (sound: Float32Array): Promise<string> => (await hashFinals(sound, 16_000)).join(" | ");

describe("options of a session", () => {
  it("makes one call of two parties, with their roles", async () => {
    const started = await start();
    const parties = ["agent", "customer"].map((role, n) => ({
      sound: noise(0.5, n + 1),
      app: sessionApp(started, `call-${role}@1795743650.213691.79603`, `call=c7&role=${role}&channel=${n}&parties=2`),
    }));
    for (const { app, sound } of parties) await say(app, sound);
    await Promise.all(parties.map(({ app }) => app.session.submitFinal()));
    await Promise.all(parties.map(({ app }) => app.session.done));
    const said = started.events.flatMap((event) => (event.type === "transcript" ? [event.utterance] : []));
    expect(said.map(({ channelNumber, channelRole }) => [channelNumber, channelRole])).toEqual([
      [0, "agent"],
      [1, "customer"],
    ]);
    expect(started.events.filter(({ type }) => type === "call-ended")).toMatchObject([{ callId: "c7" }]);
  });

  it("leaves out finals with less speech than min-speech-ms", async () => {
    const started = await start();
    const sound = new Float32Array(16_000 * 5);
    sound.set(noise(0.2, 1), 0);
    sound.set(noise(0.8, 2), 16_000 * 2);
    const app = sessionApp(started, "c1", "min-speech-ms=500");
    await say(app, sound);
    await app.session.submitFinal();
    await app.session.done;
    const [, long] = await hashFinals(sound, 16_000);
    expect(app.shape()).toBe(`${long} | $`);
  });

  it("tells of another model or blank token than an application expects, once for each session", async () => {
    const started = await start({ model: { name: "small-en.nemo", blankId: 128 } });
    for (const options of ["model=small-en.onnx&blank-id=128", "model=large-en.nemo&blank-id=1024"]) {
      const app = sessionApp(started, "c", options);
      await say(app, noise(0.3));
      await app.session.submitFinal();
      await app.session.done;
    }
    expect(started.log.filter((line) => line.includes("expected"))).toEqual([
      expect.stringMatching(/^c\?.*: expected the model large-en.nemo, got small-en.nemo\./),
      expect.stringMatching(/^c\?.*: expected the blank token 1024, got 128\./),
    ]);
  });
});

describe("readers of the toolkit's composites", () => {
  it("end each with its own session, whoever else is at the port", async () => {
    const started = await start();
    const [first, second] = [sessionApp(started, "first"), sessionApp(started, "second")];
    const sounds = [noise(0.4, 1), noise(0.4, 2)];
    await say(first, sounds[0]);
    await say(second, sounds[1]);
    await first.session.submitFinal();
    await first.session.done;
    expect(first.shape()).toBe(`${await texts(sounds[0])} | $`);
    expect(started.gateway.table.sessions.size).toBe(1);
    await second.session.submitFinal();
    await second.session.done;
    expect(second.shape()).toBe(`${await texts(sounds[1])} | $`);
  });

  it("answer marks without sound, and end a session that said nothing", async () => {
    const started = await start();
    const app = sessionApp(started, "c1");
    await app.session.submitMark();
    await say(app, noise(0.3, 4));
    await app.session.submitMark();
    await app.session.submitMark();
    await app.session.submitFinal();
    await app.session.done;
    expect(app.shape()).toBe(`# | ${await texts(noise(0.3, 4))} | # | # | $`);
    const silent = sessionApp(started, "c2");
    await silent.session.submitFinal();
    await silent.session.done;
    expect(silent.shape()).toBe("$");
  });

  it("are read on over any number of cuts", async () => {
    const started = await start();
    const app = sessionApp(started, "c1", "", 5);
    const sounds = [1, 2, 3, 4].map((seed) => noise(0.5, seed));
    for (const sound of sounds) {
      await say(app, sound);
      app.session.source.cut();
      await app.session.submitMark();
      app.session.sink.cut();
    }
    await app.session.submitFinal();
    app.session.source.cut();
    await app.session.done;
    const expected = (await Promise.all(sounds.map(texts))).map((text) => `${text} | #`);
    expect(app.shape()).toBe(`${expected.join(" | ")} | $`);
  });

  it("need not keep long silence", async () => {
    const started = await start();
    const app = sessionApp(started, "c1", "", 20, 100_000);
    await say(app, new Float32Array(16_000 * 60));
    await until(() => started.events.length > 0 && app.session.numHeld < 450);
    await app.session.submitFinal();
    await app.session.done;
    expect(app.shape()).toBe("$");
  });
});
