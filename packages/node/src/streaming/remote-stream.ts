import {
  checkPacket,
  checkSamples,
  SpeechError,
  type SpeechStream,
  type StreamEvent,
  type StreamOptions,
} from "@nemo-stt/core";
import { unpackError } from "./crossing-error.ts";
import { type Deferred, deferred } from "./deferred.ts";
import { Requests } from "./requests.ts";
import type { SnapshotFile } from "./snapshot-files.ts";
import { SoundLog } from "./sound-log.ts";
import type { StreamCommand, StreamReport } from "./thread-messages.ts";

/** A stream of an engine with threads. */
export interface EngineStream extends SpeechStream {
  /**
   * Fulfilled after `finish` or `close`; rejected when something else ended the stream.
   * @throws SpeechError `TIMED_OUT`, `AUDIO_INVALID`, `RUNTIME_FAILED`, `CLOSED` with the engine
   */
  readonly ended: Promise<void>;
}

/** What a stream needs of its engine. */
export interface RemoteHost {
  /** Seconds of any clock that goes on. */
  now(): number;
  /** Has `send` called soon, together with those of other streams. */
  schedule(stream: RemoteStream): void;
  /** Forgets a stream that has ended. */
  remove(stream: RemoteStream): void;
  /** Puts a snapshot on the disk. */
  write(blob: Uint8Array): Promise<SnapshotFile>;
}

/** How a stream was opened. */
export interface RemoteStart {
  readonly id: number;
  readonly options: StreamOptions;
  readonly saved: Uint8Array | undefined;
  readonly rateHz: number;
  readonly snapshotSec: number;
  readonly onEvent: (event: StreamEvent) => void;
}

/** A place from which a stream can go on. */
interface Snapshot {
  /** Nothing for the beginning of a new stream. */
  readonly blob: Uint8Array | undefined;
  /** Where the blob lies instead, as soon as it is written. */
  readonly file?: SnapshotFile;
  /** Events before it, and samples. */
  readonly numEvents: number;
  readonly position: number;
}

/** Sound that is under way before `feed` makes its caller wait. */
const WINDOW_SEC = 2;
/** Beyond this a caller that does not wait is refused: what waits must fit into memory. */
const REFUSED_AFTER_SEC = 120;
/** Sound in one message, at most: a thread gives each stream its turn. */
const MESSAGE_SEC = 0.5;
/** Threads that may die under a stream between two snapshots before the stream is taken for the reason. */
const MAX_CRASHES = 3;

/**
 * One stream as the main thread knows it: what was fed and asked since the last snapshot, what of it was sent, and which
 * events were told. When its thread dies, another goes on from the snapshot with the same sound and the same requests,
 * and finds the same events again; those that were told already are left out.
 */
export class RemoteStream implements EngineStream {
  readonly id: number;
  readonly ended: Promise<void>;
  readonly #start: RemoteStart;
  readonly #host: RemoteHost;
  readonly #log = new SoundLog();
  readonly #requests = new Requests();
  readonly #opening = deferred<void>();
  readonly #ending = deferred<void>();
  #waiting: { readonly position: number; readonly turn: Deferred<void> }[] = [];
  #snapshot: Snapshot;
  /** Positions up to which sound was sent to the thread, and taken in by it. */
  #sent = 0;
  #taken = 0;
  #numEvents = 0;
  #numCrashes = 0;
  #snapshotAt = 0;
  #lastAskedSec: number;
  #isResting = false;
  /** Counts the threads it was in; `#isPlaced` when the one it is in has been told of it. */
  #numPlaces = 0;
  #isPlaced = false;
  #state: "open" | "finishing" | "ended" = "open";
  #failure: Error | undefined;

  constructor(start: RemoteStart, host: RemoteHost) {
    this.id = start.id;
    this.#start = start;
    this.#host = host;
    this.#snapshot = { blob: start.saved, numEvents: 0, position: 0 };
    this.#lastAskedSec = host.now();
    this.ended = this.#ending.promise;
  }

  /** Fulfilled when the thread has opened it. */
  get opened(): Promise<void> {
    return this.#opening.promise;
  }

  get replayBytes(): number {
    return this.#log.sizeBytes;
  }

  get snapshotBytes(): number {
    return this.#snapshot.blob?.byteLength ?? 0;
  }

  async feed(samples: Float32Array): Promise<void> {
    checkPacket(samples);
    this.#check();
    checkSamples(samples);
    if (this.#underWaySec > REFUSED_AFTER_SEC) {
      throw new SpeechError(
        "OVER_CAPACITY",
        `stream ${this.id}: expected at most ${REFUSED_AFTER_SEC} s of sound to wait, got more. Await each \`feed\`.`,
      );
    }
    this.#log.push(samples);
    const { snapshotSec, rateHz } = this.#start;
    if (this.#log.end - this.#snapshotAt >= snapshotSec * rateHz) {
      this.#snapshotAt = this.#log.end;
      void this.#requests.ask("save", this.#log.end);
    }
    this.#ask();
    if (this.#underWaySec <= WINDOW_SEC) return;
    const turn = deferred<void>();
    this.#waiting.push({ position: this.#log.end - WINDOW_SEC * rateHz, turn });
    await turn.promise;
  }

  async endUtterance(): Promise<void> {
    this.#check();
    const done = this.#requests.ask("cut", this.#log.end);
    this.#ask();
    await done;
  }

  async finish(): Promise<void> {
    if (this.#state !== "finishing") {
      this.#check();
      this.#state = "finishing";
      void this.#requests.ask("finish", this.#log.end);
      this.#ask();
    }
    await this.ended;
  }

  async close(): Promise<void> {
    this.#end(undefined);
  }

  async save(): Promise<Uint8Array> {
    this.#check();
    this.#snapshotAt = this.#log.end;
    const saved = this.#requests.ask("save", this.#log.end);
    this.#ask();
    const blob = await saved;
    if (blob) return blob.slice();
    throw this.#closed();
  }

  /**
   * Begins again from the last snapshot.
   * @param post sends what its new thread is told first
   */
  async restart(post: (command: StreamCommand) => void): Promise<void> {
    const place = ++this.#numPlaces;
    this.#isPlaced = false;
    const { numEvents, position, file } = this.#snapshot;
    const saved = file ? await file.read() : this.#snapshot.blob;
    // Meanwhile it may have ended, or have gone to yet another thread.
    if (place !== this.#numPlaces || this.#state === "ended") return;
    this.#sent = position;
    this.#taken = position;
    this.#requests.unsend();
    this.#isPlaced = true;
    post({ kind: "open", stream: this.id, options: this.#start.options, saved, numEvents });
    this.#host.schedule(this);
  }

  /** Has a stream that nothing is asked of take little memory: no sound behind a snapshot. True when one is made. */
  rest(): boolean {
    if (this.#isResting || this.#state !== "open" || !this.#isPlaced) return false;
    this.#isResting = true;
    if (this.#log.end === this.#snapshot.position) return false;
    this.#snapshotAt = this.#log.end;
    void this.#requests.ask("save", this.#log.end);
    this.#host.schedule(this);
    return true;
  }

  /** Snapshots lie on the disk: in memory they would be as large as all caches. */
  async #putAway(): Promise<void> {
    const snapshot = this.#snapshot;
    if (!snapshot.blob) return;
    // Where there is no room on the disk, it stays in memory.
    const file = await this.#host.write(snapshot.blob).catch(() => undefined);
    if (!file) return;
    if (this.#snapshot === snapshot && this.#state !== "ended") this.#snapshot = { ...snapshot, blob: undefined, file };
    else await file.remove();
  }

  /** Counts a thread that died; true when the stream may go on in another. */
  survives(reason: string): boolean {
    this.#numCrashes++;
    if (this.#numCrashes <= MAX_CRASHES) return true;
    const text = `stream ${this.id}: expected a thread that lives, got the end of ${this.#numCrashes} (${reason}). Open another stream, and report this.`;
    this.fail(new SpeechError("RUNTIME_FAILED", text));
    return false;
  }

  /** Sends what may be sent: sound up to the window, requests behind the sound that they follow. */
  send(post: (command: StreamCommand, transfer?: ArrayBuffer) => void): void {
    const { rateHz } = this.#start;
    while (this.#isPlaced && this.#state !== "ended") {
      const request = this.#requests.next;
      const end = Math.min(this.#log.end, request?.position ?? Number.POSITIVE_INFINITY);
      const to = Math.min(end, this.#sent + MESSAGE_SEC * rateHz, this.#taken + WINDOW_SEC * rateHz);
      if (to > this.#sent) {
        const samples = this.#log.slice(this.#sent, to);
        this.#sent = to;
        post({ kind: "feed", stream: this.id, end: to, samples }, samples.buffer);
      } else if (request && request.position === this.#sent) {
        this.#requests.markSent();
        post({ kind: request.kind, stream: this.id, request: request.number });
      } else {
        return;
      }
    }
  }

  /** Takes what the thread tells. */
  receive(report: StreamReport): void {
    if (this.#state === "ended") return;
    if (report.kind === "opened") this.#opening.resolve();
    else if (report.kind === "failed") this.fail(unpackError(report.error));
    else if (report.kind === "events") this.#tell(report.first, report.events);
    else if (report.kind === "fed") this.#takeIn(report.end);
    else if (report.kind === "saved") this.#keep(report);
    else if (this.#requests.done(report.request) === "finish") this.#end(undefined);
  }

  /** Ends the stream for a reason of its engine's. */
  fail(error: Error): void {
    this.#end(error);
  }

  /** Seconds since anything was asked of it; 0 while something is under way. */
  idleSec(): number {
    const isBusy = this.#taken < this.#log.end || this.#requests.isWaiting;
    return isBusy ? 0 : this.#host.now() - this.#lastAskedSec;
  }

  get #underWaySec(): number {
    return (this.#log.end - this.#taken) / this.#start.rateHz;
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
    if (this.#state !== "open") throw this.#closed();
  }

  #closed(): SpeechError {
    const text = `stream ${this.id}: expected an open stream, got one that has ended. Open another.`;
    return new SpeechError("CLOSED", text);
  }

  #ask(): void {
    this.#isResting = false;
    this.#lastAskedSec = this.#host.now();
    this.#host.schedule(this);
  }

  #tell(first: number, events: readonly StreamEvent[]): void {
    for (const event of events.slice(Math.max(0, this.#numEvents - first))) {
      if (this.#state === "ended") return; // Closed by its own receiver.
      this.#numEvents++;
      try {
        this.#start.onEvent(event);
      } catch (error) {
        this.fail(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  #takeIn(position: number): void {
    this.#taken = position;
    this.#lastAskedSec = this.#host.now();
    const isFree = (waiting: { position: number }) => waiting.position <= position;
    for (const { turn } of this.#waiting.filter(isFree)) turn.resolve();
    this.#waiting = this.#waiting.filter((waiting) => !isFree(waiting));
    this.#host.schedule(this);
  }

  #keep({ request, blob, numEvents }: Extract<StreamReport, { kind: "saved" }>): void {
    const position = this.#requests.saved(request, blob);
    void this.#snapshot.file?.remove();
    this.#snapshot = { blob, numEvents, position };
    void this.#putAway();
    this.#log.dropBefore(position);
    this.#numCrashes = 0;
  }

  #end(error: Error | undefined): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#failure = error;
    this.#requests.end(error);
    for (const { turn } of this.#waiting.splice(0)) error ? turn.reject(error) : turn.resolve();
    this.#opening.reject(error ?? this.#closed());
    void this.#snapshot.file?.remove();
    if (error) this.#ending.reject(error);
    else this.#ending.resolve();
    this.#host.remove(this);
  }
}
