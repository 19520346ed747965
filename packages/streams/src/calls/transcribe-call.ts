import type { SpeechEngine, StreamOptions } from "@nemo-stt/core";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import type { ChannelAudioStream, ChannelMetadata, ChannelTranscription } from "../spl/schemas.ts";
import { Voice, type VoiceText } from "../voice/voice.ts";
import { type Spoken, TranscriptMerger } from "./merger.ts";

/** How a call is recognised. */
export interface CallOptions {
  readonly engine: SpeechEngine;
  readonly attContext?: readonly number[];
  /** Interim texts too, as they come. */
  readonly hasInterims?: boolean;
  /** How long a final waits for the others at most; 2 s unless told. */
  readonly maxWaitMs?: number;
  /** A party's stream failed, or what it says cannot be recognised: it is out, the others go on. */
  readonly onPartyFailed?: (party: number, error: unknown) => void;
  readonly clock?: Clock;
}

/** What one channel said, as a call tells it. */
export interface CallTranscriptionTuple extends ChannelTranscription {
  /**
   * Beyond `Types.spl`: a final that goes on in the middle of the last word of this channel's final before, to be joined
   * without a blank.
   */
  joinsPrevious: boolean;
}

/** An utterance on its way into the transcript. */
interface Utterance extends Spoken {
  readonly transcription: CallTranscriptionTuple;
}

const QUEUED_ITEMS = 64;
const SWEEP_MS = 200;
const NOBODY: ChannelMetadata = {
  channelNumber: 0,
  channelRole: "unknown",
  phoneNumber: "",
  speakerId: "",
  additionalMetadata: new Map(),
};

/**
 * Recognises a call of any number of parties, each a stream of its own, and gives one transcript in the order of speaking;
 * overlapping utterances stay whole. A window mark comes when every party has had one; the final mark comes exactly once,
 * after the last final, also when a party fails or vanishes.
 */
export function transcribeCall(
  parties: readonly ReadableStream<Item<ChannelAudioStream>>[],
  options: CallOptions,
): ReadableStream<Item<CallTranscriptionTuple>> {
  const call = new CallTranscription(parties, options);
  return new ReadableStream(
    { start: (controller) => call.start(controller), pull: () => call.onRoom?.(), cancel: () => call.cancel() },
    { highWaterMark: QUEUED_ITEMS },
  );
}

class CallTranscription {
  readonly #parties: readonly ReadableStream<Item<ChannelAudioStream>>[];
  readonly #options: CallOptions;
  readonly #clock: Clock;
  readonly #merger: TranscriptMerger<number, Utterance>;
  readonly #readers: ReadableStreamDefaultReader<Item<ChannelAudioStream>>[] = [];
  /** Window marks that a party has had; parties that are over have had all. */
  readonly #marks: number[];
  #numMarks = 0;
  #controller!: ReadableStreamDefaultController<Item<CallTranscriptionTuple>>;
  #isOver = false;
  onRoom: (() => void) | undefined;

  constructor(parties: readonly ReadableStream<Item<ChannelAudioStream>>[], options: CallOptions) {
    this.#parties = parties;
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#marks = parties.map(() => 0);
    const { maxWaitMs } = options;
    this.#merger = new TranscriptMerger(
      { clock: this.#clock, ...(maxWaitMs === undefined ? {} : { maxWaitMs }) },
      (said) => this.#emit(tupleItem(said.transcription)),
    );
  }

  start(controller: ReadableStreamDefaultController<Item<CallTranscriptionTuple>>): void {
    this.#controller = controller;
    const timer = setInterval(() => this.#merger.sweep(), SWEEP_MS);
    timer.unref();
    this.#parties.forEach((_, party) => {
      this.#merger.join(party, party);
    });
    const all = this.#parties.map((stream, party) => this.#follow(stream, party));
    void Promise.all(all).then(() => {
      clearInterval(timer);
      this.#end();
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#merger.flush();
    this.#emit(FINAL_MARK);
    this.#isOver = true;
    this.#controller.close();
  }

  async cancel(): Promise<void> {
    this.#isOver = true;
    this.onRoom?.();
    await Promise.all(this.#readers.map((reader) => reader.cancel()));
  }

  /** One party from its first block to its end; never rejects. */
  async #follow(stream: ReadableStream<Item<ChannelAudioStream>>, party: number): Promise<void> {
    const reader = stream.getReader();
    this.#readers.push(reader);
    let hasFailed = false;
    const ear = new PartyEar(this.#options, this.#clock, (text, info) => this.#onText(party, text, info));
    try {
      for (;;) {
        const { value: item, done } = await reader.read();
        if (done || this.#isOver || item.kind === "final") break;
        await this.#take(party, ear, item);
        await this.#room();
      }
      if (!this.#isOver) await ear.endWindow();
    } catch (error) {
      hasFailed = true;
      this.#options.onPartyFailed?.(party, error);
      // What it had said until then stands.
      await ear.endWindow().catch((later: unknown) => this.#options.onPartyFailed?.(party, later));
    } finally {
      await ear.close();
      this.#marks[party] = Number.POSITIVE_INFINITY;
      this.#merger.leave(party);
      this.#tellMarks();
    }
    if (hasFailed) await this.#discard(reader);
  }

  /** A party that is out is still read: one source may carry both sides, and goes on only while both are taken. */
  async #discard(reader: ReadableStreamDefaultReader<unknown>): Promise<void> {
    try {
      while (!this.#isOver && !(await reader.read()).done);
    } catch {
      // It failed itself, which was told.
    }
  }

  async #take(party: number, ear: PartyEar, item: Item<ChannelAudioStream>): Promise<void> {
    if (item.kind === "tuple") {
      this.#merger.identify(party, item.tuple.channelInfo.channelNumber);
      await ear.feed(item.tuple);
      this.#merger.hear(party, ear.endMs);
    } else {
      await ear.endWindow();
      this.#marks[party]++;
      this.#tellMarks();
    }
  }

  #onText(party: number, text: VoiceText, channelInfo: ChannelMetadata): void {
    const transcription: CallTranscriptionTuple = {
      text: text.text,
      confidence: text.confidence,
      isFinal: text.isFinal,
      channelInfo,
      startTime: BigInt(Math.max(0, Math.round(text.startMs))),
      endTime: BigInt(Math.max(0, Math.round(text.endMs))),
      joinsPrevious: text.joinsPrevious,
    };
    if (!text.isFinal) {
      this.#merger.open(party, text.words.length > 0 ? text.startMs : undefined);
      if (this.#options.hasInterims && text.text !== "") this.#emit(tupleItem(transcription));
    } else if (text.text === "") {
      this.#merger.open(party, undefined);
    } else {
      this.#merger.push(party, { startMs: text.startMs, channelNumber: channelInfo.channelNumber, transcription });
    }
  }

  #tellMarks(): void {
    const complete = Math.min(...this.#marks);
    for (; this.#numMarks < complete && complete !== Number.POSITIVE_INFINITY; this.#numMarks++) {
      this.#merger.flush();
      this.#emit(WINDOW_MARK);
    }
  }

  #emit(item: Item<CallTranscriptionTuple>): void {
    if (!this.#isOver) this.#controller.enqueue(item);
  }

  async #room(): Promise<void> {
    while (!this.#isOver && (this.#controller.desiredSize ?? 0) <= 0) {
      const before = this.onRoom;
      await new Promise<void>((resolve) => {
        this.onRoom = () => {
          before?.();
          resolve();
        };
      });
    }
  }
}

/** One party's voice. It is opened with its first block, which says its rate, and anew where the rate changes. */
class PartyEar {
  readonly #options: CallOptions;
  readonly #clock: Clock;
  readonly #onText: (text: VoiceText, info: ChannelMetadata) => void;
  #voice: Voice | undefined;
  #sampleRateHz: number | undefined;
  #info = NOBODY;

  constructor(options: CallOptions, clock: Clock, onText: (text: VoiceText, info: ChannelMetadata) => void) {
    this.#options = options;
    this.#clock = clock;
    this.#onText = onText;
  }

  get endMs(): number {
    return this.#voice?.endMs ?? 0;
  }

  async feed({ audioData, audioTimestamp, channelInfo, sampleRate, bitsPerSample }: ChannelAudioStream): Promise<void> {
    if (bitsPerSample !== 16)
      throw new RangeError(
        `transcribeCall: expected 16 bits for each sample, got ${bitsPerSample}. Split the call with AudioChannelSplitter.`,
      );
    if (sampleRate !== this.#sampleRateHz) await this.#changeRate(sampleRate);
    this.#info = channelInfo;
    this.#voice ??= this.#openVoice(sampleRate);
    await this.#voice.feed(audioData, Number(audioTimestamp));
  }

  /** What was said at another rate is said: the utterance ends, and another voice goes on by its blocks' timestamps. */
  async #changeRate(sampleRateHz: number): Promise<void> {
    const before = this.#voice;
    this.#voice = undefined;
    this.#sampleRateHz = sampleRateHz;
    await before?.endWindow();
    await before?.close();
  }

  #openVoice(sampleRateHz: number): Voice {
    const { engine, attContext } = this.#options;
    const stream: StreamOptions = attContext ? { attContext } : {};
    return new Voice({
      engine,
      stream,
      format: { encoding: "s16le", sampleRateHz, numChannels: 1 },
      clock: this.#clock,
      name: `channel ${this.#info.channelNumber}`,
      onText: (text) => this.#onText(text, this.#info),
    });
  }

  async endWindow(): Promise<void> {
    await this.#voice?.endWindow();
  }

  async close(): Promise<void> {
    await this.#voice?.close();
  }
}
