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
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Serves the page of live calls at `/`, from files beside the package's sources. */
export function servePage(app: Hono): void {
  for (const [path, [name, type]] of Object.entries(FILES)) {
    const body = readFileSync(new URL(`../../page/${name}`, import.meta.url), "utf8");
    app.get(path, (context) =>
      context.body(body, 200, {
        "content-type": type,
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
      }),
    );
  }
}
