import { RECORDS } from "../spl/signals.ts";
import type { Voice, VoiceText } from "../voice/voice.ts";
import { errorRecord, type Failure } from "./failure.ts";
import { partyRef } from "./feed.ts";
import type { JournalRecord } from "./journal.ts";
import type { SavedSession, SessionHost, SessionSetup } from "./session-host.ts";
import { Settling } from "./settling.ts";

/** Sound without a word that is older than this is silence: texts do not come so late. */
const SILENCE_SEC = 20;

type TextsHost = Pick<SessionHost, "journal" | "metrics" | "feed">;
type TextsSetup = Pick<SessionSetup, "name" | "log" | "call">;

/** From what a voice said to what its session answers: records with their marks, and which chunks they settle. */
export class SessionTexts {
  readonly #host: TextsHost;
  readonly #setup: TextsSetup;
  #settling = new Settling();
  /** Chunks below are heard. */
  #heardBelow = 0n;
  /** The mark that ends the window stands for itself, and none stands behind the last final. */
  #isMarkApart = false;
  /** Silence was settled up to here. */
  #silentSec = 0;
  #hadInterim = false;

  constructor(host: TextsHost, setup: TextsSetup) {
    this.#host = host;
    this.#setup = setup;
  }

  /** Goes on where a session was saved. */
  restore({ settling, hadInterim, intake }: SavedSession): void {
    this.#settling = new Settling(settling);
    this.#hadInterim = hadInterim;
    this.#heardBelow = intake.nextSeq ?? 0n;
  }

  /** Everything needed to go on elsewhere. */
  save(): Pick<SavedSession, "settling" | "hadInterim"> {
    return { settling: this.#settling.save(), hadInterim: this.#hadInterim };
  }

  /** Another voice takes over, whose sound is counted anew. */
  restart(): void {
    this.#settling = new Settling();
  }

  /** A chunk is being heard: what is said from here on may be of it. */
  beginChunk(seq: bigint): void {
    this.#heardBelow = seq + 1n;
  }

  /** The chunk was heard. */
  endChunk({ heardSec, isBetweenSamples }: Voice): void {
    if (isBetweenSamples) this.#settling.add({ heardSec, below: this.#heardBelow });
    this.#settleSilence(heardSec - SILENCE_SEC);
  }

  /** Long silence need not be kept by its sender: no final will say so. */
  #settleSilence(silentSec: number): void {
    if (!this.#setup.name.resumes || this.#hadInterim || silentSec < this.#silentSec + SILENCE_SEC) return;
    this.#silentSec = silentSec;
    const below = this.#settling.settle(silentSec);
    if (below !== undefined) this.#append({ text: `${below - 1n}`, isFinal: true, confidence: RECORDS.markAnswered });
  }

  /** A mark with a number of its own is being heard: it stands for itself, behind what the window's end brings. */
  beginMark(seq: bigint): void {
    this.#isMarkApart = true;
    this.#heardBelow = seq + 1n;
  }

  /** Answers the mark with its number. */
  answerMark(seq: bigint): void {
    this.#isMarkApart = false;
    this.#append({ text: `${seq}`, isFinal: true, confidence: RECORDS.markAnswered });
  }

  /** The session's end ends the window too, and the end record stands for the mark where the application knows it. */
  beginEnd(): void {
    this.#isMarkApart = this.#setup.name.resumes;
  }

  /** Says what went wrong, where the application knows such records. */
  tell(failure: Failure): void {
    if (this.#setup.name.resumes) this.#append(errorRecord(failure));
  }

  /** Signals the end of the session. */
  end(): void {
    this.#append({ text: "", isFinal: true, confidence: RECORDS.end, endsSession: true });
  }

  /** Takes what the voice said, in order. */
  take(heard: VoiceText): void {
    const { metrics, feed } = this.#host;
    const { name, call } = this.#setup;
    const text = this.#wanted(heard);
    const isMarkOnly = text.isFinal && text.text === "" && !this.#hadInterim;
    this.#hadInterim = !text.isFinal;
    const settlesBelow = text.isFinal ? this.#settle(text) : undefined;
    const endsWindow = text.endsWindow && !this.#isMarkApart;
    if (!isMarkOnly || !this.#isMarkApart) {
      const { isFinal, confidence } = text;
      this.#append({ text: text.text, isFinal, confidence, endsWindow, isMarkOnly, settlesBelow });
    }
    call.text(name, text);
    if (text.text !== "") metrics.latency.observe(text.latencyMs / 1000);
    if (isMarkOnly) return;
    const { confidence, startMs, endMs, latencyMs } = text;
    const times = { text: text.text, confidence, startMs, endMs, latencyMs };
    feed.publish({
      type: text.isFinal ? "final" : "interim",
      ...times,
      ...partyRef(name.callId, name.id, name.channel),
    });
  }

  /** A final with too little speech is an empty one, so that what was shown of it goes. */
  #wanted(text: VoiceText): VoiceText {
    const { minSpeechMs } = this.#setup.name;
    if (!text.isFinal || minSpeechMs === 0) return text;
    const speechSec = text.words.reduce((sum, { startSec, endSec }) => sum + endSec - startSec, 0);
    return speechSec * 1000 >= minSpeechMs ? text : { ...text, text: "", words: [], confidence: 0 };
  }

  #settle({ settledSec, endsWindow }: VoiceText): bigint | undefined {
    const below = this.#settling.settle(settledSec);
    if (!this.#setup.name.resumes) return undefined;
    return endsWindow ? this.#heardBelow : below;
  }

  #append(record: Pick<JournalRecord, "text" | "isFinal" | "confidence"> & Partial<JournalRecord>): void {
    const usual = { endsSession: false, endsWindow: false, isMarkOnly: false };
    this.#host.journal.append(this.#setup.log, { ...usual, ...record });
  }
}
