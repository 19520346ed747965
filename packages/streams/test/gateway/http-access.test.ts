import { request } from "node:http";
import { describe, expect, it } from "vitest";
import { hasChromium, openChromium } from "../../../../tools/chromium.mjs";
import { type GatewayHttp, type HttpOptions, isLoopback, serveHttp, tokenProblem } from "../../src/index.ts";
import { type Started, start } from "./harness.ts";

const TOKEN = "k3y_of-the.gateway~+/0123456789==";
const EVERYTHING = ["/", "/events", "/calls", "/metrics", "/metrics.json", "/page/main.js", "/nowhere"];

async function serve(options: HttpOptions) {
  const started = await start();
  const http = await serveHttp(started.gateway, { port: 0, ...options });
  const url = `http://127.0.0.1:${http.port}`;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const abort = new AbortController();
    const answer = await fetch(`${url}${path}`, { headers, redirect: "manual", signal: abort.signal });
    const text = path === "/events" && answer.ok ? "" : await answer.text();
    abort.abort();
    return { status: answer.status, text, headers: answer.headers };
  };
  const statuses = async (headers?: Record<string, string>) =>
    Object.fromEntries(await Promise.all(EVERYTHING.map(async (path) => [path, (await get(path, headers)).status])));
  const login = (body: BodyInit) => fetch(`${url}/login`, { method: "POST", body, redirect: "manual" });
  return { started, http, url, get, statuses, login };
}

const all = (status: number) => Object.fromEntries(EVERYTHING.map((path) => [path, status]));
const allFound = { ...all(200), "/nowhere": 404 };

describe("a gateway's page with a token", () => {
  it("answers nobody without it but probes, whatever is asked", async () => {
    const { http, get, statuses } = await serve({ token: TOKEN });
    expect(await statuses()).toEqual(all(401));
    for (const authorization of [`Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, "Bearer x", `Basic ${TOKEN}`, TOKEN])
      expect([authorization, await statuses({ authorization })]).toEqual([authorization, all(401)]);
    for (const path of ["/calls?token=", "/metrics/?token=", "/?token=x", "/?token=x&token="])
      expect([path, (await get(`${path}${TOKEN}`)).status]).toEqual([path, 401]);
    expect([(await get("/healthz")).status, (await get("/readyz")).status]).toEqual([200, 200]);
    const none = await get("/calls");
    expect(none.text).toBe("expected the gateway's token, got none. Send it as Authorization: Bearer.\n");
    expect(none.headers.get("www-authenticate")).toBe('Bearer realm="nemo-stt"');
    const wrong = await get("/calls", { authorization: "Bearer wrong" });
    expect(wrong.text).toBe("expected the gateway's token, got another one. Send it as Authorization: Bearer.\n");
    expect(wrong.headers.get("www-authenticate")).toBe('Bearer realm="nemo-stt", error="invalid_token"');
    await http.close();
  });

  it("answers those who send it as a bearer token", async () => {
    const { http, statuses } = await serve({ token: TOKEN });
    expect(await statuses({ authorization: `Bearer ${TOKEN}` })).toEqual(allFound);
    expect(await statuses({ authorization: `bearer  ${TOKEN}` })).toEqual(allFound);
    await http.close();
  });

  it("takes it once from the page's address, or its form, and then by a cookie that is not the token", async () => {
    const { http, get, statuses, login } = await serve({ token: TOKEN });
    const address = await get(`/?token=${encodeURIComponent(TOKEN)}`);
    const form = await login(new URLSearchParams({ token: TOKEN }));
    for (const { status, headers } of [address, form]) {
      expect([status, headers.get("location"), headers.get("cache-control")]).toEqual([303, "/", "no-store"]);
      const [cookie, ...attributes] = headers.get("set-cookie")?.split("; ") ?? [];
      expect(attributes.sort()).toEqual(["HttpOnly", "Path=/", "SameSite=Lax"]);
      expect(cookie).toMatch(/^nemo-stt-[\w-]{8}=[\w-]{43}$/);
      expect(await statuses({ cookie })).toEqual(allFound);
      expect(await statuses({ cookie: cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A")) })).toEqual(all(401));
      const other = await serve({ token: `${TOKEN}=` });
      expect(await other.statuses({ cookie })).toEqual(all(401));
      await other.http.close();
    }
    const secure = await get(`/?token=${encodeURIComponent(TOKEN)}`, { "x-forwarded-proto": "https" });
    expect(secure.headers.get("set-cookie")).toMatch(/; Secure/);
    await http.close();
  });

  it("shows browsers a form, and takes nothing else from it", async () => {
    const { http, get, login } = await serve({ token: TOKEN });
    const page = await get("/", { accept: "text/html,*/*" });
    expect([page.status, page.text]).toEqual([401, expect.stringContaining('<form class="login" method="post"')]);
    expect(page.headers.get("content-security-policy")).toMatch(/form-action 'self'; frame-ancestors 'none'$/);
    const many = new FormData();
    many.append("token", new Blob([TOKEN]), "token");
    for (const body of [new URLSearchParams({ token: "wrong" }), new URLSearchParams(), many, "{", ""]) {
      const answer = await login(body);
      expect([answer.status, answer.headers.get("set-cookie")]).toEqual([401, null]);
    }
    expect((await login(new URLSearchParams({ token: "x".repeat(20_000) }))).status).toBe(413);
    await http.close();
  });

  it("lets scrapers read metrics without it where they may", async () => {
    const { http, statuses } = await serve({ token: TOKEN, hasOpenMetrics: true });
    expect(await statuses()).toEqual({ ...all(401), "/metrics": 200, "/metrics.json": 200 });
    await http.close();
  });

  it("tells it to nobody", async () => {
    const { started, http, get, login } = await serve({ token: TOKEN });
    const answers = [await get(`/?token=${TOKEN}x`), await get("/", { authorization: `Bearer ${TOKEN}` })];
    const said = [...answers.map(({ text }) => text), await (await login(`token=${TOKEN}`)).text(), ...started.log];
    expect(said.join("\n")).not.toContain(TOKEN);
    await http.close();
  });
});

describe("serveHttp", () => {
  const refusal = (options: HttpOptions) => serve(options).then(() => "none", String);

  it("listens for others with a token only, unless it is told to be open", async () => {
    for (const host of ["0.0.0.0", "::", "", "192.0.2.1", "example.com", "127.0.0.1.example.com"])
      expect(await refusal({ host })).toBe(
        `TypeError: options.token: expected one where others reach ${host}, got none. Give one, listen on 127.0.0.1, or set isOpen.`,
      );
    for (const options of [{ token: TOKEN }, { isOpen: true }]) {
      const { http } = await serve({ host: "0.0.0.0", ...options });
      await http.close();
    }
  });

  it("refuses tokens that can be guessed or not be sent, without saying them", async () => {
    const size = (n: number) => `expected a token of 16 to 4096 characters, got ${n}`;
    const letters = "expected a token of letters, digits and -._~+/, got other characters";
    const cases = { "": size(0), "only-15-letters": size(15), [`${"x".repeat(4097)}`]: size(4097) };
    for (const [token, problem] of Object.entries(cases)) expect(tokenProblem(token)).toBe(problem);
    for (const token of ["sixteen letters!", "sixteen-letters\n", "sechzehn-ö-lang-", "================"])
      expect([token, tokenProblem(token)]).toEqual([token, letters]);
    expect([tokenProblem(TOKEN), tokenProblem("x".repeat(16))]).toEqual([undefined, undefined]);
    expect(await refusal({ token: "sixteen letters!" })).toBe(`TypeError: options.token: ${letters}.`);
  });

  it("answers under names of the loopback only, where nothing is asked", async () => {
    const ask = ({ port }: GatewayHttp, host: string, path = "/calls") =>
      new Promise<string>((resolve, reject) => {
        const sent = request({ host: "127.0.0.1", port, path, headers: { host } }, async (answer) => {
          let text = "";
          for await (const part of answer) text += part;
          resolve(`${answer.statusCode} ${text}`);
        });
        sent.once("error", reject).end();
      });
    const { http } = await serve({});
    for (const host of ["localhost:1", "LOCALHOST", "127.0.0.1:5603", "[::1]:5603"])
      expect([host, await ask(http, host)]).toEqual([host, "200 []"]);
    for (const host of ["evil.example:5603", "localhost.evil.example", "192.0.2.1"])
      expect([host, await ask(http, host)]).toEqual([
        host,
        `403 expected a request to localhost, got one to ${host.replace(":5603", "")}. Give the gateway a token.\n`,
      ]);
    expect(await ask(http, "evil.example", "/healthz")).toBe("200 ok\n");
    await http.close();
    const open = await serve({ isOpen: true });
    expect(await ask(open.http, "calls.example")).toBe("200 []");
    await open.http.close();
  });
});

describe("isLoopback", () => {
  it("knows what only this machine reaches", () => {
    for (const host of ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
      expect([host, isLoopback(host)]).toEqual([host, true]);
    for (const host of [
      "",
      "0.0.0.0",
      "::",
      "127.0.0.1.nip.io",
      "127.com",
      "localhost.x",
      "10.0.0.1",
      "::ffff:10.0.0.1",
    ])
      expect([host, isLoopback(host)]).toEqual([host, false]);
  });
});

describe.skipIf(!hasChromium)(`the form in a Chromium${hasChromium ? "" : " (needs Debian's chromium)"}`, () => {
  it("asks for the token once, and again when the gateway has another one", async () => {
    const browser = await openChromium({ viewport: { width: 800, height: 600 } });
    const { page } = browser;
    const link = () => expect.poll(() => page.locator("#link").allTextContents(), { timeout: 5000 }).toEqual(["live"]);
    const enter = async (token: string) => {
      await page.getByLabel("The gateway's token").fill(token);
      await page.getByRole("button", { name: "Show calls" }).click();
    };
    const started: Started = await start();
    const { port, close } = await serveHttp(started.gateway, { port: 0, token: TOKEN });
    const url = `http://127.0.0.1:${port}/`;
    await page.goto(url);
    await enter("wrong");
    await enter(TOKEN);
    await link();
    expect(page.url()).toBe(url);
    await page.reload();
    await link();
    await close();
    const next = await serveHttp(started.gateway, { port, token: `${TOKEN}=` });
    await page.getByLabel("The gateway's token").waitFor({ timeout: 15_000 });
    await page.goto(`${url}?token=${encodeURIComponent(`${TOKEN}=`)}`);
    await link();
    expect(page.url()).toBe(url);
    await next.close();
    await browser.close();
  }, 40_000);
});
