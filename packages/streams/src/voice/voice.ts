import type { FinalEvent, SpeechEngine, SpeechStream, StreamEvent, StreamOptions, TimedText } from "@nemo-stt/core";
import type { Clock } from "../clock.ts";
import type { SoundFormat } from "./encodings.ts";
import { createSoundDecoder, type SavedDecoder, type SoundDecoder } from "./sound-decoder.ts";
import { type SavedTimeLine, TimeLine } from "./time-line.ts";
import type { WavHeader } from "./wav-header.ts";

/** What was understood of a voice: an interim text of the utterance under way, or a final one. */
export interface VoiceText {
  readonly text: string;
  readonly isFinal: boolean;
  /** 0 to 1; 0 where the model gives none. */
  readonly confidence: number;
  /** Counts finals of the voice from 0. */
  readonly utterance: number;
  /** On the caller's clock, in milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  /** Times on the caller's clock, in seconds. */
  readonly words: readonly TimedText[];
  /** A final after which the window ends. It may be empty: then nothing was said since the final before it. */
  readonly endsWindow: boolean;
  /** The text goes on in the middle of the previous final's last word. */
  readonly joinsPrevious: boolean;
  /** From when the last sample that it needed came until now. */
  readonly latencyMs: number;
  /** Of a final: sound up to here (`heardSec` of the voice) has nothing to do with what comes; 0 for interims. */
  readonly settledSec: number;
}

/** How a voice is recognised. */
export interface VoiceOptions {
  readonly engine: SpeechEngine;
  /** Of streams without a header. */
  readonly format: SoundFormat;
  readonly stream?: StreamOptions;
  readonly clock: Clock;
  /** What to call it in messages. */
  readonly name: string;
  /** Called in order; must not throw. */
  readonly onText: (text: VoiceText) => void;
}

/** A voice as plain data. */
export interface SavedVoice {
  readonly decoder: SavedDecoder;
  readonly timeLine: SavedTimeLine | undefined;
  /** The engine's stream, where a window has begun. */
  readonly stream: Uint8Array | undefined;
  readonly streamSample: number;
  readonly streamSec: number;
  readonly numUtterances: number;
  readonly firstTimestampMs: number | undefined;
  readonly carried: Uint8Array;
  readonly heardSec: number;
}

/** Silence that stands for lost sound; a longer loss is only a jump of the clock. */
const MAX_SILENCE_MS = 5000;

/**
 * One voice from bytes to texts. A window is a stream of the engine; the next window is another one, on the same clock.
 * Calls must not overlap: each waits for the one before.
 */
export class Voice {
  readonly #options: VoiceOptions;
  #decoder: SoundDecoder;
  #timeLine: TimeLine | undefined;
  #stream: SpeechStream | undefined;
  /** Where the engine's stream began. */
  #streamSample = 0;
  #streamSec = 0;
  #numUtterances = 0;
  /** Finals of a window's end are held back: the last of them carries the mark. */
  #held: VoiceText[] | undefined;
  /** The time of the window's first chunk. */
  #firstTimestampMs: number | undefined;
  /** Bytes of a sample that the last window's end cut. */
  #carried = new Uint8Array(0);
  #heardSec = 0;

  constructor(options: VoiceOptions) {
    this.#options = options;
    this.#decoder = createSoundDecoder(options.format, options.name);
  }

  /**
   * A voice that goes on where one was saved, perhaps elsewhere.
   * @throws SpeechError `STATE_INVALID` where the engine has another model
   */
  static async restore(options: VoiceOptions, saved: SavedVoice): Promise<Voice> {
    const voice = new Voice(options);
    voice.#decoder = createSoundDecoder(options.format, options.name, saved.decoder);
    voice.#timeLine = saved.timeLine && TimeLine.restore(saved.timeLine);
    voice.#streamSample = saved.streamSample;
    voice.#streamSec = saved.streamSec;
    voice.#numUtterances = saved.numUtterances;
    voice.#firstTimestampMs = saved.firstTimestampMs;
    voice.#carried = saved.carried.slice();
    voice.#heardSec = saved.heardSec;
    if (saved.stream) voice.#stream = await voice.#open(saved.stream);
    return voice;
  }

  /** Everything needed to go on elsewhere; this voice is over. Waits for what was fed. */
  async save(): Promise<SavedVoice> {
    const stream = await this.#stream?.save();
    await this.close();
    return {
      decoder: this.#decoder.save(),
      timeLine: this.#timeLine?.save(),
      stream,
      streamSample: this.#streamSample,
      streamSec: this.#streamSec,
      numUtterances: this.#numUtterances,
      firstTimestampMs: this.#firstTimestampMs,
      carried: this.#carried,
      heardSec: this.#heardSec,
    };
  }

  /** What the window's bytes turned out to be. */
  get format(): SoundFormat {
    return this.#decoder.format;
  }

  /** The caller's time behind the last sample. */
  get endMs(): number {
    return this.#timeLine?.endMs ?? this.#firstTimestampMs ?? 0;
  }

  /** No sample is cut at this point. */
  get isBetweenSamples(): boolean {
    return this.#carried.length === 0 && this.#decoder.isBetweenSamples;
  }

  /** Nothing of the window came yet. */
  get isWindowFresh(): boolean {
    return this.#carried.length === 0 && this.#decoder.isFresh;
  }

  /** What the window's header said, once: where it was found since this was asked last. */
  takeHeader(): WavHeader | undefined {
    return this.#decoder.takeHeader();
  }

  /**
   * The window, of which nothing came yet, goes on behind a WAV header that another voice has read, and behind samples.
   * @param remainingBytes of samples, where the header told how many there are
   */
  goOnBehindHeader(format: SoundFormat, remainingBytes: number | undefined): void {
    const none = new Uint8Array(0);
    const saved = { format, hasHeader: true, head: undefined, pending: none, remainingBytes };
    this.#decoder = createSoundDecoder(this.#options.format, this.#options.name, saved);
  }

  /** Sound so far. */
  get heardSec(): number {
    return this.#heardSec;
  }

  /**
   * Takes bytes and gives their samples. Resolves when more may come.
   * @throws SpeechError of the engine (`OVER_CAPACITY`, …) and of headers
   */
  async feed(bytes: Uint8Array, timestampMs?: number): Promise<Float32Array> {
    this.#firstTimestampMs ??= timestampMs;
    const samples = await this.#decoder.feed(this.#carry(bytes));
    if (samples.length > 0) await this.#feedSamples(samples, timestampMs);
    return samples;
  }

  /** A window may begin inside a sample, but not if a file begins there. */
  #carry(bytes: Uint8Array): Uint8Array {
    if (this.#carried.length === 0 || bytes.length === 0) return bytes;
    const carried = this.#carried;
    this.#carried = new Uint8Array(0);
    return String.fromCharCode(...bytes.subarray(0, 2)) === "RI" ? bytes : Buffer.concat([carried, bytes]);
  }

  /** Puts silence where sound was lost, so that the clock goes on and words of both sides do not grow together. */
  async skip(durationMs: number): Promise<void> {
    const numSamples = Math.round((Math.min(durationMs, MAX_SILENCE_MS) * this.format.sampleRateHz) / 1000);
    if (numSamples > 0 && this.#timeLine) await this.#feedSamples(new Float32Array(numSamples), undefined);
  }

  async #feedSamples(samples: Float32Array, timestampMs: number | undefined): Promise<void> {
    const rate = this.format.sampleRateHz;
    if (this.#timeLine?.sampleRateHz !== rate) this.#timeLine = new TimeLine(rate, this.#timeLine);
    // A header may have come in a chunk of its own: the first timestamp is that of the first sample.
    const isFirst = this.#stream === undefined;
    if (this.#stream === undefined) {
      this.#streamSample = this.#timeLine.numSamples;
      this.#streamSec = this.#heardSec;
      this.#stream = await this.#open();
    }
    this.#timeLine.add(samples.length, isFirst ? this.#firstTimestampMs : timestampMs, this.#options.clock.nowMs());
    this.#heardSec += samples.length / rate;
    await this.#stream.feed(samples);
  }

  #open(saved?: Uint8Array): Promise<SpeechStream> {
    const { engine, stream } = this.#options;
    return engine.open({ ...stream, sampleRateHz: this.format.sampleRateHz }, (event) => this.#onEvent(event), saved);
  }

  /**
   * Ends the window: the tail is flushed and its finals come, the last with the mark. Without sound since the last
   * window's end nothing comes. The next window may begin with a header of its own.
   */
  async endWindow(): Promise<void> {
    this.#carried = this.#decoder.pendingBytes().slice();
    this.#decoder = createSoundDecoder(this.#options.format, this.#options.name);
    this.#firstTimestampMs = undefined;
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#held = [];
    this.#stream = undefined;
    try {
      await stream.finish();
    } finally {
      const held = this.#held;
      this.#held = undefined;
      if (held.at(-1)?.isFinal !== true) held.push(this.#emptyFinal());
      held.forEach((text, i) => {
        this.#options.onText({ ...text, endsWindow: i === held.length - 1 });
      });
    }
  }

  /** Abandons the voice; idempotent. */
  async close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.close();
  }

  #onEvent(event: StreamEvent): void {
    const text = this.#textOf(event);
    if (event.type === "final") this.#numUtterances++;
    if (this.#held) this.#held.push(text);
    else this.#options.onText(text);
  }

  #textOf(event: StreamEvent): VoiceText {
    const line = this.#timeLine as TimeLine;
    const rate = line.sampleRateHz;
    const at = (sec: number) => line.timeMs(this.#streamSample + Math.round(sec * rate));
    // Where the caller's clock goes back nothing ends before it begins.
    const span = (startSec: number, endSec: number) => {
      const startMs = at(startSec);
      return { startMs, endMs: Math.max(startMs, at(endSec)) };
    };
    const words = event.words.map((word) => {
      const { startMs, endMs } = span(word.startSec, word.endSec);
      return { ...word, startSec: startMs / 1000, endSec: endMs / 1000 };
    });
    const isFinal = event.type === "final";
    const now = this.#options.clock.nowMs();
    const arrival = line.arrivalMs(this.#streamSample + Math.floor(event.heardSec * rate));
    return {
      text: event.text,
      isFinal,
      confidence: (isFinal ? event.confidence : meanConfidence(event.words)) ?? 0,
      utterance: this.#numUtterances,
      ...span(
        isFinal ? event.startSec : (event.words[0]?.startSec ?? event.heardSec),
        isFinal ? event.endSec : (event.words.at(-1)?.endSec ?? event.heardSec),
      ),
      words,
      endsWindow: false,
      joinsPrevious: isFinal && event.joinsPrevious,
      latencyMs: arrival === undefined ? 0 : Math.max(0, now - arrival),
      settledSec: isFinal ? this.#streamSec + settledBy(event) : 0,
    };
  }

  #emptyFinal(): VoiceText {
    const endMs = this.endMs;
    const utterance = this.#numUtterances++;
    const times = { startMs: endMs, endMs, words: [], latencyMs: 0, settledSec: Number.POSITIVE_INFINITY };
    return { ...times, text: "", isFinal: true, confidence: 0, utterance, endsWindow: true, joinsPrevious: false };
  }
}

/**
 * Up to where a final's sound is of no more use: the middle of the silence that ended it, so that the next utterance could be
 * heard anew with silence before it; its last word's end where it was cut in speech; everything at the end of a stream.
 */
function settledBy({ reason, endSec, heardSec }: FinalEvent): number {
  if (reason === "end" || reason === "asked") return Number.POSITIVE_INFINITY;
  return reason === "silence" ? (endSec + heardSec) / 2 : endSec;
}

function meanConfidence(words: readonly TimedText[]): number | undefined {
  const given = words.flatMap((word) => (word.confidence === undefined ? [] : [word.confidence]));
  return given.length === 0 ? undefined : given.reduce((sum, value) => sum + value, 0) / given.length;
}
