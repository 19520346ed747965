import type { SpeechEngine, StreamOptions } from "@nemo-stt/core";
import type { Clock } from "../clock.ts";
import type { SttUp } from "../spl/schemas.ts";
import type { SoundFormat } from "../voice/encodings.ts";
import type { SavedVoice } from "../voice/voice.ts";
import type { Call } from "./call.ts";
import type { GatewayFeed } from "./feed.ts";
import type { HeaderStore } from "./header-store.ts";
import type { SavedIntake } from "./intake.ts";
import type { Journal, SessionLog } from "./journal.ts";
import type { GatewayLimits } from "./limits.ts";
import type { Session } from "./session.ts";
import type { SessionName } from "./session-name.ts";
import type { RecordingHost } from "./session-recording.ts";
import type { ChunkEnd } from "./settling.ts";

/** What sessions share. */
export interface SessionHost extends RecordingHost {
  readonly engine: SpeechEngine;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly limits: GatewayLimits;
  readonly feed: GatewayFeed;
  /** Where headers are kept for a gateway that follows; none unless there is a state file. */
  readonly headers: HeaderStore | undefined;
  readonly wait: (ms: number) => Promise<void>;
  /** Asks a session's readers for what is missing from a number on. */
  readonly ask: (log: SessionLog, fromSeq: bigint) => void;
}

/** How a session is heard. */
export interface SessionSetup {
  readonly name: SessionName;
  readonly log: SessionLog;
  readonly call: Call;
  readonly format: SoundFormat;
  readonly stream: StreamOptions;
  /** The chunk that comes next; more than 0 where an earlier session of this id is gone on with, undefined where nobody knows. */
  readonly nextSeq: bigint | undefined;
  /** Called once, after the end record. */
  readonly onEnded: (session: Session) => void;
}

/** A live session as plain data; its log is saved with the journal. */
export interface SavedSession {
  readonly sessionId: string;
  readonly intake: SavedIntake;
  readonly settling: readonly ChunkEnd[];
  readonly hadInterim: boolean;
  readonly first: SttUp | undefined;
  readonly voice: SavedVoice;
}
