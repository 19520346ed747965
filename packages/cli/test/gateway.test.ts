import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { call, isBuilt, jsonLines, lines, program, run, runProcess, scratch } from "./harness.ts";

/** A gateway in a process of its own, on free ports. */
async function startGateway(...args: string[]) {
  const ports = ["--audio-port", "0", "--text-port", "0", "--http-port", "0"];
  const child = spawn(process.execPath, [program, "gateway", ...ports, ...args], { cwd: scratch });
  let [out, err] = ["", ""];
  child.stderr.on("data", (bytes: Buffer) => {
    err += bytes.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (bytes: Buffer) => {
      out += bytes.toString();
      if (out.includes("\n")) resolve();
    });
    void ended.then(() => reject(new Error(`the gateway ended: ${err}`)));
  });
  const [, audio, text, http] = /audio (\d+), text (\d+), http (\d+)/.exec(out) ?? [];
  return { child, ended, err: () => err, ports: ["--audio-port", audio, "--text-port", text], http };
}

describe("gateway and replay", () => {
  it.skipIf(!isBuilt)("carry a call, keep it, play what was kept, and end by SIGTERM", async () => {
    const folder = join(scratch, "calls");
    const gateway = await startGateway("--record", folder);
    const expected = lines((await run("transcribe", "--channels", "split", call)).out).map((line) => line.slice(3));
    const said = (out: string) =>
      [0, 1].map((channel) =>
        jsonLines(out)
          .filter(({ channelNumber }) => channelNumber === channel)
          .map(({ text }) => text)
          .join(" "),
      );
    const live = await run("replay", call, ...gateway.ports, "--full-speed", "--json");
    expect(said(live.out)).toEqual(expected);
    expect(live.err).toMatch(/^1 calls, 2 sessions, \d+ finals: 36.8 s of sound in /);
    // The end of a call is told before its description is on the disk.
    const kinds = () => readdirSync(folder).map((name) => name.replace(/^.*\.|^.*-/, ""));
    await expect.poll(() => kinds().sort()).toEqual(["json", "wav", "wav"]);
    const kept = await run("replay", folder, ...gateway.ports, "--full-speed", "--json");
    expect(said(kept.out)).toEqual(expected);
    const page = await run("calls", "--http-port", gateway.http);
    expect(page).toMatchObject({ status: 0, out: `http://127.0.0.1:${gateway.http}/\n`, err: "no calls are live\n" });
    expect((await run("calls", "--http-port", gateway.http, "--json")).out).toBe("[]\n");
    const metrics = await fetch(`http://127.0.0.1:${gateway.http}/metrics.json`);
    expect(await metrics.json()).toMatchObject({ nVoiceCallsProcessed: 2, nFullAudioConversationsFailed: 0 });
    gateway.child.kill("SIGTERM");
    expect(await gateway.ended).toBe(0);
    expect(gateway.err()).toBe("draining: 0 sessions are live\n");
  });

  it.skipIf(!isBuilt)("carry a call in windows, its utterances told by voice activity", async () => {
    const flags = ["--left", "4", "--chunk", "1", "--right", "1", "--endpoint", "vad", "--min-silence", "0.3"];
    const gateway = await startGateway(...flags);
    const live = await run("replay", call, ...gateway.ports, "--full-speed", "--json");
    const expected = jsonLines((await run("stream", call, "--channels", "split", "--json", ...flags)).out);
    const texts = (events: { text: string }[]) => events.map(({ text }) => text);
    for (const channel of [1, 2]) {
      const streamed = expected.filter((event) => event.type === "final" && event.channel === channel);
      const replayed = jsonLines(live.out).filter((event) => event.channelNumber === channel - 1);
      expect(texts(streamed).length).toBeGreaterThan(2);
      expect(texts(replayed)).toEqual(texts(streamed));
    }
    gateway.child.kill("SIGTERM");
    expect(await gateway.ended).toBe(0);
  });

  it.skipIf(!isBuilt)("show calls to those who know the token, wherever it stands", async () => {
    const token = "0123456789abcdef-secret";
    const file = join(scratch, "token");
    writeFileSync(file, `${token}\n`);
    const flags = ["--http-host", "0.0.0.0", "--http-token-file", file, "--http-open-metrics"];
    const gateway = await startGateway(...flags);
    const url = `http://127.0.0.1:${gateway.http}/`;
    const get = async (path: string) => (await fetch(`${url}${path}`)).status;
    expect([await get("calls"), await get("metrics"), await get("healthz")]).toEqual([401, 200, 200]);
    const calls = (...args: string[]) => run("calls", "--http-port", gateway.http, "--json", ...args);
    const refusal = (of: string) => ({
      status: 69,
      err: `nemo-stt: ${url}: expected calls, got a refusal of ${of}. Give the gateway's with --http-token-file or NEMO_STT_HTTP_TOKEN. (NETWORK_FAILED)\n`,
    });
    expect(await calls()).toMatchObject(refusal("viewers without a token"));
    expect(await calls("--http-token", `${token}x`)).toMatchObject(refusal("this token"));
    expect(await calls("--http-token", token)).toMatchObject({ status: 0, out: "[]\n" });
    expect(await calls("--http-token-file", file)).toMatchObject({ status: 0, out: "[]\n" });
    process.env.NEMO_STT_HTTP_TOKEN = token;
    expect(await calls()).toMatchObject({ status: 0, out: "[]\n" });
    expect(await calls("--http-token", `${token}x`)).toMatchObject(refusal("this token"));
    delete process.env.NEMO_STT_HTTP_TOKEN;
    gateway.child.kill("SIGTERM");
    expect(await gateway.ended).toBe(0);
    expect(gateway.err()).not.toContain(token);
  });

  it("show calls to nobody else by mistake", async () => {
    const token = "0123456789abcdef";
    const refused = async (...args: string[]) => {
      const { status, err } = await run("gateway", ...args);
      expect([status, err.includes(token)]).toEqual([64, false]);
      return err.replace(/^nemo-stt: /, "").trimEnd();
    };
    expect(await refused("--http-host", "0.0.0.0")).toBe(
      "--http-host 0.0.0.0: expected a token where others reach what callers say, got none. Give --http-token-file or NEMO_STT_HTTP_TOKEN, or allow everyone with --http-open.",
    );
    expect(await refused("--http-open-metrics")).toMatch(/^--http-open-metrics: expected a token .*, got none\./);
    expect(await refused("--http-open", "--http-token", token)).toMatch(/^--http-open: expected no token beside it/);
    expect(await refused("--http-token", token, "--http-token-file", "x")).toMatch(
      /^expected --http-token or .* both\./,
    );
    expect(await refused("--http-token", `${token} ü`)).toBe(
      "--http-token: expected a token of letters, digits and -._~+/, got other characters. Make one with `openssl rand -hex 32`.",
    );
    const short = join(scratch, "short");
    writeFileSync(short, "short\n");
    expect(await refused("--http-token-file", short)).toBe(
      `${short}: expected a token of 16 to 4096 characters, got 5. Make one with \`openssl rand -hex 32\`.`,
    );
    process.env.NEMO_STT_HTTP_TOKEN = "";
    expect(await refused()).toMatch(/^NEMO_STT_HTTP_TOKEN: expected a token of 16 to 4096 characters, got 0\./);
    delete process.env.NEMO_STT_HTTP_TOKEN;
    expect((await run("gateway", "--http-token-file", join(scratch, "none"))).status).toBe(66);
  });

  it("tell what is wrong with what they are given", async () => {
    const nowhere = await run("calls", "--http-port", "5999");
    expect([nowhere.status, nowhere.err]).toEqual([
      69,
      expect.stringMatching(/http:..127.0.0.1:5999.: expected a gateway, got ECONNREFUSED. Start one with/),
    ]);
    const nobody = await run("replay", call, "--audio-port", "1", "--text-port", "1", "--full-speed");
    expect([nobody.status, nobody.err]).toEqual([
      69,
      expect.stringMatching(/127.0.0.1:1: expected a gateway, got none there/),
    ]);
    const half = await run("replay", call, "--tls-cert", "x.pem");
    expect([half.status, half.err]).toEqual([
      64,
      "nemo-stt: --tls-cert and --tls-key go together, and with --tls-ca.\n",
    ]);
    const empty = join(scratch, "empty");
    mkdirSync(empty, { recursive: true });
    expect((await run("replay", empty)).err).toMatch(/expected recorded calls .*got a folder without any/);
    writeFileSync(join(empty, "a.json"), "{");
    expect((await run("replay", empty)).status).toBe(65);
    const one = await run("gateway", "--tls-cert", "x.pem");
    expect([one.status, one.err]).toEqual([64, "nemo-stt: --tls-cert and --tls-key go together.\n"]);
    expect((await run("gateway", "--tls-cert", "x.pem", "--tls-key", "y.pem")).status).toBe(66);
    expect((await run("gateway", "--text-port", "99999")).err).toMatch(/Expected PORT or PORT=SESSIONS, got 99999/);
    for (const args of [
      ["gateway", "--audio-port", "70000"],
      ["calls", "--http-port", "70000"],
      ["replay", call, "--audio-port", "70000"],
      ["gateway", "--sample-rate", "70000"],
    ])
      expect(await run(...args)).toMatchObject({ status: 64, err: expect.stringMatching(/to \d+, got 70000/) });
  });

  it("refuse at the start what would fail every call", async () => {
    const ports = ["--audio-port", "0", "--text-port", "0", "--http-port", "0"];
    const failed = async (...args: string[]) => {
      const { status, err } = await run("gateway", ...ports, ...args);
      return [status, err];
    };
    expect(await failed("--att-context", "70,5")).toEqual([
      69,
      expect.stringMatching(/attention context: expected one of \[70,13\] .*, got \[70,5\]\. /),
    ]);
    const noPem = join(scratch, "no.pem");
    writeFileSync(noPem, "no certificate");
    expect(await failed("--tls-cert", noPem, "--tls-key", noPem)).toEqual([
      65,
      expect.stringMatching(
        /TLS: expected a certificate and its key as PEM, got .*\. Check the files\. \(FORMAT_INVALID/,
      ),
    ]);
    expect(await failed("--state", scratch)).toEqual([
      65,
      expect.stringMatching(/expected a file for the state, got a folder\. Name another\. \(STATE_INVALID\)/),
    ]);
  });

  it.skipIf(!isBuilt)("tell of a port that is taken, and of one where nobody listens", async () => {
    const gateway = await startGateway();
    const deaf = await run("replay", call, ...gateway.ports.slice(0, 2), "--text-port", "1");
    expect([deaf.status, deaf.err]).toEqual([
      69,
      expect.stringMatching(/127.0.0.1:1: expected a gateway, got none there/),
    ]);
    const second = await runProcess(process.execPath, [program, "gateway", "--audio-port", gateway.ports[1]]);
    expect([second.status, second.err]).toEqual([69, expect.stringMatching(/expected a free port, got EADDRINUSE/)]);
    gateway.child.kill("SIGINT");
    expect(await gateway.ended).toBe(0);
  });
});
