import { readFileSync } from "node:fs";
import type { Hono } from "hono";

/** The page's files: nothing else is read, whatever is asked for. */
const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page/page.css": ["page.css", "text/css; charset=utf-8"],
  "/page/main.js": ["main.js", "text/javascript; charset=utf-8"],
  "/page/call-book.js": ["call-book.js", "text/javascript; charset=utf-8"],
  "/page/dom.js": ["dom.js", "text/javascript; charset=utf-8"],
  "/page/view.js": ["view.js", "text/javascript; charset=utf-8"],
  "/page/call-view.js": ["call-view.js", "text/javascript; charset=utf-8"],
  "/page/waveform.js": ["waveform.js", "text/javascript; charset=utf-8"],
} as const;

/** Nothing but the page's own files and the gateway's events, in no frame of another page. */
const policy = (formAction: "'none'" | "'self'") =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    `form-action ${formAction}`,
    "frame-ancestors 'none'",
  ].join("; ");

const headersOf = (type: string, formAction: "'none'" | "'self'" = "'none'") => ({
  "content-type": type,
  "content-security-policy": policy(formAction),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
});

const read = (name: string) => readFileSync(new URL(`../../page/${name}`, import.meta.url), "utf8");

/** What a browser is shown that has no token: a form for it. */
export const loginPage = { body: read("login.html"), headers: headersOf("text/html; charset=utf-8", "'self'") };

/** Serves the page of live calls at `/`, from files beside the package's sources. */
export function servePage(app: Hono): void {
  for (const [path, [name, type]] of Object.entries(FILES)) {
    const body = read(name);
    app.get(path, (context) => context.body(body, 200, headersOf(type)));
  }
}
