import type { ChannelMetadata } from "../spl/schemas.ts";
import type { Level } from "./level-meter.ts";

/** Why a session ended. */
export type EndReason =
  /** Its application sent the final mark. */
  | "final-mark"
  /** Its connection was cut and nobody came back. */
  | "vanished"
  /** It was connected and silent for too long. */
  | "stale"
  /** The gateway stops. */
  | "drained"
  /** Something failed, which was told. */
  | "failed";

/** Who a session's event is about. */
export interface PartyRef {
  readonly callId: string;
  readonly sessionId: string;
  readonly channelNumber: number;
  readonly channelRole: string;
}

/** What happens in a gateway, for pages and programs that watch it. Times of the sound are on the call's clock. */
export type GatewayEvent = { readonly atMs: number } & (
  | ({ readonly type: "session-started" } & PartyRef)
  | ({ readonly type: "session-ended"; readonly reason: EndReason; readonly heardSec: number } & PartyRef)
  | ({
      readonly type: "interim" | "final";
      readonly text: string;
      readonly confidence: number;
      readonly startMs: number;
      readonly endMs: number;
      readonly latencyMs: number;
    } & PartyRef)
  | ({ readonly type: "level"; readonly endMs: number } & Level & PartyRef)
  | ({ readonly type: "gap"; readonly numMissing: number; readonly missingMs: number } & PartyRef)
  | ({ readonly type: "failed"; readonly code: string; readonly message: string } & PartyRef)
  | { readonly type: "transcript"; readonly callId: string; readonly utterance: CallUtterance }
  | { readonly type: "call-ended"; readonly callId: string; readonly reason: EndReason }
);

type Without<E> = E extends unknown ? Omit<E, "atMs"> : never;

/** A final in a call's merged transcript. */
export interface CallUtterance {
  readonly sessionId: string;
  readonly channelNumber: number;
  readonly channelRole: string;
  readonly text: string;
  readonly confidence: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly joinsPrevious: boolean;
}

/** Where events are published. */
export class GatewayFeed {
  readonly #listeners = new Set<(event: GatewayEvent) => void>();
  readonly #epochMs: () => number;

  /** @param epochMs wall clock time, which events carry */
  constructor(epochMs: () => number) {
    this.#epochMs = epochMs;
  }

  /** Somebody listens: what is costly to make is not made for nobody. */
  get isHeard(): boolean {
    return this.#listeners.size > 0;
  }

  /** Publishes an event to all that listen now. */
  publish(event: Without<GatewayEvent>): void {
    if (this.#listeners.size === 0) return;
    const complete = { atMs: this.#epochMs(), ...event } as GatewayEvent;
    for (const listener of this.#listeners) listener(complete);
  }

  /** Listens from now on; the listener must not throw. Gives what ends it. */
  subscribe(listener: (event: GatewayEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** Who a session is, in its events. */
export const partyRef = (callId: string, sessionId: string, channel: ChannelMetadata): PartyRef => ({
  callId,
  sessionId,
  channelNumber: channel.channelNumber,
  channelRole: channel.channelRole,
});
