import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { SpeechError } from "@nemo-stt/core";
import { Hono } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import type { GatewayEvent } from "./feed.ts";
import type { Gateway } from "./gateway.ts";
import { guard, type HttpAccess, isLoopback } from "./http-access.ts";
import { servePage } from "./page.ts";

/** Where a gateway's numbers and events are shown, and to whom. */
export interface HttpOptions extends HttpAccess {
  /** Loopback unless told; any other needs a token, or `isOpen`. */
  readonly host?: string;
  /** 5603 unless told; 0 for any free one. */
  readonly port?: number;
}

/** A running page server. */
export interface GatewayHttp {
  readonly port: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Viewers at once: people and dashboards, not an audience. */
const MAX_VIEWERS = 50;
/** Events that wait for a viewer; beyond it those are left out that the next one of their kind replaces. */
const MAX_WAITING = 1000;
const HEARTBEAT_MS = 15_000;

/**
 * Serves what a gateway knows of itself: `/healthz`, `/readyz`, `/metrics` (Prometheus), `/metrics.json` (the names of
 * the Streams toolkits), `/calls`, the live events of all calls as server-sent events at `/events`, and at `/` a page that shows them.
 * @throws SpeechError `NETWORK_FAILED` where the port cannot be had
 * @throws TypeError where others than this machine would reach it without a token, or the token is none
 */
export async function serveHttp(gateway: Gateway, options: HttpOptions = {}): Promise<GatewayHttp> {
  const { host = "127.0.0.1", port = 5603 } = options;
  if (!isLoopback(host) && options.token === undefined && options.isOpen !== true)
    throw new TypeError(
      `options.token: expected one where others reach ${host}, got none. Give one, listen on 127.0.0.1, or set isOpen.`,
    );
  const server = createAdaptorServer({ fetch: httpApp(gateway, options).fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const text = `${host}:${port}: expected a free port, got ${cause.code ?? cause.message}. Choose another port.`;
      reject(new SpeechError("NETWORK_FAILED", text, { cause }));
    });
    server.listen({ host, port }, () => resolve());
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The routes, to be put into other servers too. @throws TypeError where the token is none */
export function httpApp(gateway: Gateway, access: HttpAccess = {}): Hono {
  const app = new Hono();
  let numViewers = 0;
  guard(app, access);
  servePage(app);
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => (gateway.isDraining ? context.text("draining\n", 503) : context.text("ready\n")));
  app.get("/metrics", async (context) => {
    const { registry } = gateway.metrics;
    return context.body(await registry.metrics(), 200, { "content-type": registry.contentType });
  });
  app.get("/metrics.json", async (context) => context.json(await gateway.metrics.streamsMetrics()));
  app.get("/calls", (context) => context.json(liveCalls(gateway)));
  app.get("/events", (context) => {
    if (numViewers >= MAX_VIEWERS) return context.text(`expected at most ${MAX_VIEWERS} viewers, got one more\n`, 503);
    numViewers++;
    return streamSSE(context, async (stream) => {
      try {
        await sendEvents(gateway, stream);
      } finally {
        numViewers--;
      }
    });
  });
  return app;
}

/** A live call as `/calls` tells it. */
export type LiveCall = ReturnType<typeof liveCalls>[number];

/** Live calls with their parties and what was said so far. */
export function liveCalls(gateway: Gateway) {
  return [...gateway.table.calls.values()].map((call) => ({
    callId: call.id,
    parties: call.parties.map(({ id, channel }) => ({
      sessionId: id,
      ...channel,
      additionalMetadata: Object.fromEntries(channel.additionalMetadata),
      heardSec: gateway.table.sessions.get(id)?.heardSec ?? 0,
      queuedSec: gateway.table.sessions.get(id)?.queuedSec ?? 0,
    })),
    transcript: call.transcript,
  }));
}

/** Sends events until the viewer is gone. A slow viewer misses levels and interims, never a final or an end. */
async function sendEvents(gateway: Gateway, stream: SSEStreamingApi): Promise<void> {
  let waiting: GatewayEvent[] = [];
  let wake: (() => void) | undefined;
  const unsubscribe = gateway.feed.subscribe((event) => {
    waiting.push(event);
    if (waiting.length > MAX_WAITING) waiting = waiting.filter(({ type }) => type !== "level" && type !== "interim");
    wake?.();
  });
  stream.onAbort(() => {
    unsubscribe();
    wake?.();
  });
  await stream.writeSSE({ event: "calls", data: JSON.stringify(liveCalls(gateway)) });
  while (!stream.aborted && !stream.closed) {
    const events = waiting;
    waiting = [];
    for (const event of events) await stream.writeSSE({ event: event.type, data: JSON.stringify(event) });
    if (events.length > 0) continue;
    const isIdle = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), HEARTBEAT_MS);
      wake = () => {
        clearTimeout(timer);
        resolve(false);
      };
    });
    wake = undefined;
    if (isIdle) await stream.write(": still here\n\n");
  }
  unsubscribe();
}
