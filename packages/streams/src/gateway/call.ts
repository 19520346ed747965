import { TranscriptMerger } from "../calls/merger.ts";
import type { Clock } from "../clock.ts";
import type { VoiceText } from "../voice/voice.ts";
import type { CallUtterance, EndReason, GatewayFeed } from "./feed.ts";
import type { SessionName } from "./session-name.ts";

/** What a call needs of the gateway. */
export interface CallHost {
  readonly clock: Clock;
  readonly feed: GatewayFeed;
  /** How long a call waits for parties that were announced and are not there. */
  readonly reconnectMs: number;
  /** Called once for every call, after its last final. */
  readonly onCallEnded: (call: Call, reason: EndReason) => void;
}

/** How much of a call is kept in memory: a day of talk. */
const MAX_TRANSCRIPT = 50_000;

/** A call: its parties' sessions, and one transcript in the order of speaking. Its end is signalled exactly once. */
export class Call {
  readonly id: string;
  readonly transcript: CallUtterance[] = [];
  readonly #host: CallHost;
  readonly #merger: TranscriptMerger<string, CallUtterance>;
  readonly #live = new Map<string, SessionName>();
  readonly #seen = new Set<string>();
  #numParties = 1;
  #emptySinceMs: number | undefined;
  #lastReason: EndReason = "final-mark";
  #isEnded = false;

  constructor(id: string, host: CallHost) {
    this.id = id;
    this.#host = host;
    this.#merger = new TranscriptMerger({ clock: host.clock }, (utterance) => {
      if (this.transcript.length < MAX_TRANSCRIPT) this.transcript.push(utterance);
      host.feed.publish({ type: "transcript", callId: id, utterance });
    });
  }

  /** The end was signalled. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Sessions that are live. */
  get parties(): readonly SessionName[] {
    return [...this.#live.values()];
  }

  /** A party's session began. */
  join(name: SessionName): void {
    this.#live.set(name.id, name);
    this.#seen.add(name.id);
    this.#numParties = Math.max(this.#numParties, name.numParties, this.#seen.size);
    this.#emptySinceMs = undefined;
    this.#merger.join(name.id, name.channel.channelNumber);
  }

  /** A party's sound reached a time. */
  hear(name: SessionName, heardMs: number): void {
    this.#merger.hear(name.id, heardMs);
  }

  /** A party's text. */
  text(name: SessionName, text: VoiceText): void {
    if (!text.isFinal || text.text === "") {
      this.#merger.open(name.id, !text.isFinal && text.words.length > 0 ? text.startMs : undefined);
      return;
    }
    const { channelNumber, channelRole } = name.channel;
    const { confidence, startMs, endMs, joinsPrevious } = text;
    const said = { text: text.text, confidence, startMs, endMs, joinsPrevious };
    this.#merger.push(name.id, { sessionId: name.id, channelNumber, channelRole, ...said });
  }

  /** A party's session ended, its last final was told. */
  leave(name: SessionName, reason: EndReason): void {
    if (!this.#live.delete(name.id)) return;
    this.#merger.leave(name.id);
    this.#lastReason = reason;
    if (this.#live.size > 0) return;
    this.#emptySinceMs = this.#host.clock.nowMs();
    if (this.#seen.size >= this.#numParties || reason === "drained") this.end();
  }

  /** Looks at the clock: finals that waited, parties that do not come. */
  sweep(): void {
    this.#merger.sweep();
    const isEmpty = this.#emptySinceMs !== undefined;
    if (isEmpty && this.#host.clock.nowMs() - (this.#emptySinceMs as number) >= this.#host.reconnectMs) this.end();
  }

  /** Signals the end, after everything that was said; idempotent. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#merger.flush();
    this.#host.feed.publish({ type: "call-ended", callId: this.id, reason: this.#lastReason });
    this.#host.onCallEnded(this, this.#lastReason);
  }
}
