import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hasChromium, openChromium } from "../../../../tools/chromium.mjs";
import { type GatewayHttp, serveHttp } from "../../src/index.ts";
import { app, blocks, noise, type Started, start, until } from "./harness.ts";

describe("the page's files", () => {
  it("come with a policy that lets nothing else in, and nothing but them is read", async () => {
    const started = await start();
    const http = await serveHttp(started.gateway, { port: 0 });
    const get = (path: string) => fetch(`http://127.0.0.1:${http.port}${path}`);
    const index = await get("/");
    const html = await index.text();
    expect(index.headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(index.headers.get("x-content-type-options")).toBe("nosniff");
    const linked = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path);
    const files = new Set(linked);
    for (const path of files) {
      const file = await get(path);
      expect([path, file.status]).toEqual([path, 200]);
      for (const [, name] of (await file.text()).matchAll(/from "\.\/([^"]+)"/g)) files.add(`/page/${name}`);
    }
    expect(files.size).toBe(7);
    for (const path of ["/page/", "/page/../package.json", "/page/%2e%2e/package.json", "/page/index.html", "/x"])
      expect([path, (await get(path)).status]).toEqual([path, 404]);
    await http.close();
  });

  it("name no other host", () => {
    for (const name of [
      "index.html",
      "page.css",
      "main.js",
      "view.js",
      "call-view.js",
      "call-book.js",
      "waveform.js",
    ]) {
      const text = readFileSync(new URL(`../../page/${name}`, import.meta.url), "utf8");
      expect([name, text.match(/https?:\/\/|innerHTML|insertAdjacentHTML|eval\(/g)]).toEqual([name, null]);
    }
  });
});

describe.skipIf(!hasChromium)(`the page in a Chromium${hasChromium ? "" : " (needs Debian's chromium)"}`, () => {
  let browser: Awaited<ReturnType<typeof openChromium>>;
  let started: Started;
  let http: GatewayHttp;
  /** What a browser says of an event stream whose server is gone. */
  const LOST = /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_REFUSED/;
  const problems: string[] = [];
  const strangers: string[] = [];
  const text = (selector: string) => browser.page.locator(selector).allTextContents();
  const see = (selector: string, expected: unknown) =>
    expect.poll(() => text(selector), { timeout: 5000 }).toEqual(expected);
  /** Sends sound as an application does, and leaves the session open. */
  const speak = async (id: string, seconds: number, seed: number) => {
    const one = app(started, id);
    for (const { bytes, timestampMs } of blocks(noise(seconds, seed), 3200))
      await one.composite.submit(bytes, timestampMs);
    return one;
  };

  beforeAll(async () => {
    browser = await openChromium({ viewport: { width: 1000, height: 700 } });
    const { page } = browser;
    page.on(
      "console",
      (message) => message.type() === "error" && !LOST.test(message.text()) && problems.push(message.text()),
    );
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("dialog", (dialog) => {
      problems.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`http://127.0.0.1:${http.port}/`)) strangers.push(request.url());
    });
  });
  beforeEach(async () => {
    started = await start();
    http = await serveHttp(started.gateway, { port: 0 });
    await browser.page.goto(`http://127.0.0.1:${http.port}/`);
    await see("#link", ["live"]);
    return () => http.close();
  });
  afterAll(async () => {
    await browser?.close();
    expect(problems).toEqual([]);
    expect(strangers).toEqual([]);
  });

  const query = (role: string, channel: number, more = "") =>
    `?call=c1&parties=2&role=${role}&channel=${channel}${more}`;

  it("shows both sides of a call: interims dim, then finals, waveform, speech marks, latency, the end", async () => {
    const agent = await speak(`c1-a${query("agent", 1)}`, 0.3, 2);
    const caller = await speak(`c1-c${query("caller", 0, "&phone=555")}`, 0.5, 1);
    await see(".head .role", ["caller", "agent"]);
    await see(".head .phone", ["555"]);
    await until(() => started.events.filter(({ type }) => type === "interim").length >= 8);
    const said = started.events.flatMap((e) => (e.type === "interim" && e.channelNumber === 0 ? [e.text] : [])).at(-1);
    await expect.poll(() => text(".interims .words")).toContain(said);
    expect(await text("#num-calls, #num-parties")).toEqual(["1", "2"]);
    const colour = (selector: string) =>
      browser.page
        .locator(selector)
        .first()
        .evaluate((node) => getComputedStyle(node).color);
    const dim = await colour(".interims .words");
    await caller.composite.submitMark();
    await see(".said .words", [said]);
    expect(await colour(".said .words")).not.toBe(dim);
    expect(await browser.page.locator(".said .row").first().getAttribute("title")).toMatch(
      /^confidence 0\.75, latency \d+ ms$/,
    );
    await expect
      .poll(() => text(".figures"))
      .toEqual([expect.stringMatching(/^0:00 · -\d+ dB · latency p50 \d+ ms, p95 \d+ ms$/), expect.any(String)]);
    expect((await text("#p50"))[0]).toMatch(/^\d+ ms$/);
    // Sound above, a mark below it: pixels in the colour of the voice at both heights.
    const inked = await browser.page
      .locator("canvas")
      .first()
      .evaluate((node) => {
        const canvas = node as HTMLCanvasElement;
        const context = canvas.getContext("2d") as CanvasRenderingContext2D;
        const count = (y: number) => {
          const { data } = context.getImageData(0, y, canvas.width / 60, 1);
          return data.filter((value, i) => i % 4 === 3 && value > 200).length;
        };
        return [count(Math.round(canvas.height * 0.4)), count(canvas.height - 3)];
      });
    expect(Math.min(...inked)).toBeGreaterThan(1);
    for (const one of [agent, caller]) await one.composite.submitFinal();
    await see("#call .state", ["ended"]);
    await see("nav .clock", ["ended"]);
    expect(await text("#num-calls")).toEqual(["0"]);
    expect((await text(".said .words")).length).toBe(2);
  });

  it("shows what callers say and call themselves as text, whatever it is", async () => {
    const hostile = `<img src=x onerror=alert(1)><script>alert(2)</script>`;
    const id = `x${query("agent", 0, `&phone=${encodeURIComponent(hostile)}`)}`.replace(
      "c1",
      encodeURIComponent(hostile),
    );
    await speak(id, 0.3, 1);
    await until(() => started.events.filter(({ type }) => type === "interim").length === 3);
    const ref = { callId: hostile, sessionId: id, channelNumber: 0, channelRole: "agent" };
    const times = { confidence: 0.5, startMs: 0, endMs: 100, latencyMs: 1 };
    started.gateway.feed.publish({ type: "interim", text: `${hostile}\n\nevent: calls\ndata: []`, ...times, ...ref });
    await expect.poll(() => text(".interims .words")).toEqual([`${hostile}\n\nevent: calls\ndata: []`]);
    started.gateway.feed.publish({ type: "final", text: hostile, ...times, ...ref });
    started.gateway.feed.publish({ type: "failed", code: "X", message: hostile, ...ref });
    started.gateway.feed.publish({
      type: "final",
      text: "\u202Eright to left",
      ...times,
      startMs: 200,
      endMs: 300,
      ...ref,
    });
    started.gateway.feed.publish({ type: "session-started", ...ref, callId: "__proto__", channelRole: "constructor" });
    await see(".said .words", [hostile, "\u202Eright to left", `X: ${hostile}`]);
    await see("h2, .head .phone", [hostile, hostile]);
    await see("nav .name", ["__proto__", hostile]);
    expect(await browser.page.locator("main img, main script, main a").count()).toBe(0);
  });

  it("has everything again after the connection is lost, each utterance once", async () => {
    const one = await speak("c1?role=caller", 0.4, 3);
    await one.composite.submitMark();
    await until(() => one.finals().length === 1);
    await see(".said .words", one.finals());
    const { port } = http;
    await http.close();
    await see("#link", ["no connection, trying again"]);
    for (const { bytes, timestampMs } of blocks(noise(0.4, 4), 3200, 16_000, 400))
      await one.composite.submit(bytes, timestampMs);
    await one.composite.submitMark();
    await until(() => one.finals().length === 2);
    http = await serveHttp(started.gateway, { port });
    await expect.poll(() => text("#link"), { timeout: 10_000 }).toEqual(["live"]);
    await see(".said .words", one.finals());
  });

  it("lets one choose a call, and stays with it", async () => {
    await speak("first", 0.2, 1);
    await see("h2", ["first"]);
    await speak("second", 0.2, 2);
    await see("nav .name", ["second", "first"]);
    expect(await text("h2")).toEqual(["first"]);
    await browser.page.getByRole("button", { name: "second" }).click();
    await see("h2", ["second"]);
    await speak("third", 0.2, 3);
    await see("nav .name", ["third", "second", "first"]);
    expect(await text("h2")).toEqual(["second"]);
  });
});
