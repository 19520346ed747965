import { createHmac, timingSafeEqual } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { getCookie, setCookie } from "hono/cookie";
import { loginPage } from "./page.ts";

/** Who may see what a gateway shows. */
export interface HttpAccess {
  /**
   * What viewers have to know: `Authorization: Bearer`, or once in a browser (`/?token=…`, or the form that it is shown).
   * At least 16 of the characters of a bearer token (RFC 6750). Without one nothing is asked.
   */
  readonly token?: string;
  /** `/metrics` and `/metrics.json` ask for no token: they count calls, and tell nothing of what is said in them. */
  readonly hasOpenMetrics?: boolean;
  /** Without a token: whoever reaches the port may see everything, from any host and under any name of this one. */
  readonly isOpen?: boolean;
}

/** Shorter tokens can be guessed. */
const MIN_TOKEN_CHARACTERS = 16;
/** Headers are not longer. */
const MAX_TOKEN_CHARACTERS = 4096;
/** A form with a token. */
const MAX_FORM_BYTES = 16 * 1024;
const PROBES = ["/healthz", "/readyz"];
const METRICS = ["/metrics", "/metrics.json"];

/** What is wrong with a token, as `expected X, got Y`; the token is not in it. Undefined where nothing is. */
export function tokenProblem(token: string): string | undefined {
  if (token.length < MIN_TOKEN_CHARACTERS || token.length > MAX_TOKEN_CHARACTERS)
    return `expected a token of ${MIN_TOKEN_CHARACTERS} to ${MAX_TOKEN_CHARACTERS} characters, got ${token.length}`;
  if (!/^[\w\-.~+/]+=*$/.test(token)) return "expected a token of letters, digits and -._~+/, got other characters";
  return undefined;
}

/** Whether only this machine reaches what listens there. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^::ffff:(?=[\d.]+$)/, "");
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}

/**
 * Guards all routes that are added behind it. Probes (`/healthz`, `/readyz`) ask for nothing. Without a token, and unless
 * it is open, only requests to a name of the loopback are answered: a page from elsewhere whose name was made to point here
 * (DNS rebinding) is not.
 */
export function guard(app: Hono, { token, hasOpenMetrics = false, isOpen = false }: HttpAccess): void {
  if (token !== undefined) requireToken(app, token, hasOpenMetrics ? [...PROBES, ...METRICS] : PROBES);
  else if (!isOpen) requireLoopbackName(app);
}

function requireLoopbackName(app: Hono): void {
  app.use(async (context, next) => {
    const name = (context.req.header("host") ?? "").replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
    if (isLoopback(name) || PROBES.includes(context.req.path)) return next();
    return context.text(`expected a request to localhost, got one to ${name}. Give the gateway a token.\n`, 403);
  });
}

function requireToken(app: Hono, token: string, openPaths: readonly string[]): void {
  const problem = tokenProblem(token);
  if (problem !== undefined) throw new TypeError(`options.token: ${problem}.`);
  // What a browser keeps is made of the token and is not it; gateways with other tokens have other names for theirs.
  const derive = (purpose: string) => createHmac("sha256", token).update(purpose).digest("base64url");
  const cookie = { name: `nemo-stt-${derive("cookie name").slice(0, 8)}`, value: derive("viewer") };
  const isToken = (given: string) => isEqual(given, token);

  const admit = (context: Context) => {
    const secure = context.req.header("x-forwarded-proto") === "https";
    setCookie(context, cookie.name, cookie.value, { httpOnly: true, sameSite: "Lax", path: "/", secure });
    // The address without the token: it is what the browser remembers and shows.
    return context.body(null, 303, { location: "/", "cache-control": "no-store", "referrer-policy": "no-referrer" });
  };
  app.post("/login", bodyLimit({ maxSize: MAX_FORM_BYTES }), async (context) => {
    const { token: given } = await context.req.parseBody();
    return typeof given === "string" && isToken(given) ? admit(context) : refuse(context, true);
  });
  app.use(async (context, next) => {
    const { path } = context.req;
    if (openPaths.includes(path) || path === "/page/page.css") return next();
    const [, bearer] = /^bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "") ?? [];
    if (bearer !== undefined) return isToken(bearer) ? next() : refuse(context, true);
    const query = path === "/" ? context.req.query("token") : undefined;
    if (query !== undefined) return isToken(query) ? admit(context) : refuse(context, true);
    return isEqual(getCookie(context, cookie.name) ?? "", cookie.value) ? next() : refuse(context, false);
  });
}

/** Compares in a time that does not depend on what is given, whatever its length: digests are compared, under any key. */
function isEqual(given: string, expected: string): boolean {
  const digest = (text: string) => createHmac("sha256", "").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** Says that a token is wanted: to browsers with a form, to others with a line. */
function refuse(context: Context, isWrong: boolean): Response {
  const got = isWrong ? "another one" : "none";
  const challenge = `Bearer realm="nemo-stt"${isWrong ? ', error="invalid_token"' : ""}`;
  const headers = { "www-authenticate": challenge, "cache-control": "no-store" };
  const isBrowser = context.req.header("accept")?.includes("text/html") ?? false;
  if (isBrowser) return context.body(loginPage.body, 401, { ...loginPage.headers, ...headers });
  return context.text(`expected the gateway's token, got ${got}. Send it as Authorization: Bearer.\n`, 401, headers);
}
