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
import { Requests, type StreamRequest } from "./requests.ts";
import { SoundLog } from "./sound-log.ts";
import type { SnapshotPlace, StreamCommand, StreamReport } from "./thread-messages.ts";

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
  /** Nothing while this turn of the event loop may take more; fulfilled in the next one otherwise. */
  pause(): Promise<void> | undefined;
  /** Forgets a stream that has ended. */
  remove(stream: RemoteStream): void;
  /** Where a snapshot may be written. */
  nextFile(): string | undefined;
}

/** How a stream was opened. */
export interface RemoteStart {
  readonly id: number;
  readonly options: StreamOptions;
  readonly rateHz: number;
  readonly snapshotSec: number;
  readonly onEvent: (event: StreamEvent) => void;
}

/** A place from which a stream can go on. */
interface Snapshot {
  /** Nothing for the beginning of a new stream. */
  readonly place: SnapshotPlace | undefined;
  /** Events before it, and samples. */
  readonly numEvents: number;
  readonly position: number;
}

/** Has a thread told something. */
export type PostCommand = (command: StreamCommand, transfer?: ArrayBuffer) => void;

/** Sound that is under way before `feed` makes its caller wait. */
const WINDOW_SEC = 2;
/** Beyond this a caller that does not wait is refused: what waits must fit into memory. */
const REFUSED_AFTER_SEC = 120;
/** Sound in one message, at most: a thread gives each stream its turn. */
const MESSAGE_SEC = 0.5;
/** Multiples of it lie far apart, modulo 1. */
const GOLDEN_RATIO = (1 + Math.sqrt(5)) / 2;
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
  /** Files that snapshots may lie in, oldest first: the thread that writes and removes them may die in between. */
  #files: string[] = [];
  #keptFile: string | undefined;
  #snapshotAt: number;
  #lastAskedSec: number;
  #isOpened = false;
  #isResting = false;
  #post: PostCommand = () => {};
  #state: "open" | "finishing" | "ended" = "open";
  #failure: Error | undefined;

  /** @param saved where it goes on */
  constructor(start: RemoteStart, host: RemoteHost, saved: Uint8Array | undefined) {
    this.id = start.id;
    this.#start = start;
    this.#host = host;
    this.#snapshot = { place: saved, numEvents: 0, position: 0 };
    // Streams that begin together are not saved together, which would need the memory of all snapshots at once.
    this.#snapshotAt = -((start.id * GOLDEN_RATIO) % 1) * start.snapshotSec * start.rateHz;
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
    const { place } = this.#snapshot;
    return place instanceof Uint8Array ? place.byteLength : 0;
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
      void this.#requests.ask("snapshot", this.#log.end);
    }
    this.#ask();
    const turn = this.#underWaySec > WINDOW_SEC ? deferred<void>() : undefined;
    if (turn) this.#waiting.push({ position: this.#log.end - WINDOW_SEC * rateHz, turn });
    await this.#host.pause();
    await turn?.promise;
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
   * @param post tells its new thread something
   */
  restart(post: PostCommand): void {
    const { numEvents, position, place } = this.#snapshot;
    this.#post = post;
    this.#sent = position;
    this.#taken = position;
    this.#requests.unsend();
    post({ kind: "open", stream: this.id, options: this.#start.options, saved: place, numEvents });
    this.#host.schedule(this);
  }

  /** The files that nobody needs once the thread has died, or the stream has ended. */
  get uselessFiles(): string[] {
    return this.#files.filter((file) => this.#state === "ended" || file !== this.#snapshot.place);
  }

  /** Has a stream that nothing is asked of take little memory: no sound behind a snapshot. True when one is made. */
  rest(): boolean {
    if (this.#isResting || this.#state !== "open") return false;
    this.#isResting = true;
    const { place, position } = this.#snapshot;
    if (this.#log.end === position && !(place instanceof Uint8Array)) {
      this.#log.trim();
      return false;
    }
    this.#snapshotAt = this.#log.end;
    void this.#requests.ask("snapshot", this.#log.end);
    this.#host.schedule(this);
    return true;
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
  send(): void {
    const { rateHz } = this.#start;
    while (this.#state !== "ended") {
      const request = this.#requests.next;
      const end = Math.min(this.#log.end, request?.position ?? Number.POSITIVE_INFINITY);
      const to = Math.min(end, this.#sent + MESSAGE_SEC * rateHz, this.#taken + WINDOW_SEC * rateHz);
      if (to > this.#sent) {
        const samples = this.#log.slice(this.#sent, to);
        this.#sent = to;
        this.#post({ kind: "feed", stream: this.id, end: to, samples }, samples.buffer);
      } else if (request && request.position === this.#sent) {
        this.#requests.markSent();
        this.#post(this.#commandOf(request));
      } else {
        return;
      }
    }
  }

  #commandOf({ kind, number }: StreamRequest): StreamCommand {
    const command = { stream: this.id, request: number };
    if (kind === "cut" || kind === "finish") return { kind, ...command };
    const file = kind === "snapshot" ? this.#host.nextFile() : undefined;
    if (file !== undefined) this.#files.push(file);
    return { kind: "save", ...command, file };
  }

  /** Takes what the thread tells. */
  receive(report: StreamReport): void {
    if (this.#state === "ended") return;
    if (report.kind === "opened") this.#open();
    else if (report.kind === "failed") this.fail(unpackError(report.error));
    else if (report.kind === "events") this.#tell(report.first, report.events);
    else if (report.kind === "fed") this.#takeIn(report.end);
    else if (report.kind === "saved") this.#keep(report);
    else if (this.#requests.done(report.request) === "finish") this.#end(undefined);
  }

  #open(): void {
    this.#isOpened = true;
    this.#opening.resolve();
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

  #keep({ request, place, numEvents }: Extract<StreamReport, { kind: "saved" }>): void {
    const isFile = typeof place === "string";
    const position = this.#requests.saved(request, isFile ? undefined : place);
    this.#snapshot = { place, numEvents, position };
    if (isFile) {
      // By now the thread has removed what lay before the last one.
      if (this.#keptFile !== undefined) this.#files.splice(0, this.#files.indexOf(this.#keptFile));
      this.#keptFile = place;
      this.#post({ kind: "kept", stream: this.id, file: place });
    }
    this.#host.schedule(this);
    this.#log.dropBefore(position);
    if (this.#isResting) this.#log.trim();
    this.#numCrashes = 0;
  }

  #end(error: Error | undefined): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#failure = error;
    this.#requests.end(error);
    for (const { turn } of this.#waiting.splice(0)) error ? turn.reject(error) : turn.resolve();
    // An error takes longer to make than all else here, and many streams may end at once.
    if (!this.#isOpened) this.#opening.reject(error ?? this.#closed());
    this.#log.dropBefore(this.#log.end);
    this.#log.trim();
    if (error) this.#ending.reject(error);
    else this.#ending.resolve();
    this.#host.remove(this);
  }
}
