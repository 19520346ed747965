import type { ConfidenceSpec } from "../config/spec.ts";
import type { Head } from "../recognition/head-decoder.ts";
import type { TimedText, Transcript } from "../transcript/transcript.ts";

/** When an utterance ends. Cutting a final never touches caches or decoder state: the words stay the same. */
export interface EndpointRules {
  /** Silence after speech that ends an utterance, in the decoder's own output or the voice activity detector's; 0.8 s unless told. */
  readonly minSilenceSec?: number;
  /** An utterance longer than this ends at the next word's beginning; 30 s unless told. */
  readonly maxUtteranceSec?: number;
  /** What silence is read from: the decoder's own blanks unless told; `none` cuts only where told, by `<EOU>` and at the end. */
  readonly silence?: "decoder" | "vad" | "energy" | "none";
  /** Shorter sounds are no speech to a detector: they do not end a silence; 0.06 s unless told. */
  readonly minSpeechSec?: number;
  /** Probability from which on a detector hears speech, and below which it hears none; 0.5 and 0.35 unless told. */
  readonly onset?: number;
  readonly offset?: number;
}

/** How one stream is recognised. */
export interface StreamOptions {
  /** Rate of the samples that are fed, 1000 to 768000 Hz; the model's own unless told. Resampled incrementally. */
  readonly sampleRateHz?: number;
  /** The transducer where the model has one, unless told. */
  readonly head?: Head;
  /** One of the model's attention contexts, which is the latency; its default unless told. */
  readonly attContext?: readonly number[];
  /** A second, faster context for interim results: finals come from `attContext`. */
  readonly fastAttContext?: readonly number[];
  readonly endpoint?: EndpointRules;
  /** Replaces parts of the checkpoint's own confidence method. */
  readonly confidence?: Partial<ConfidenceSpec>;
}

/** What was said so far in the utterance under way. */
export interface InterimEvent {
  readonly type: "interim";
  /** Counts finals from 0: this interim belongs to the final with the same number. */
  readonly utterance: number;
  /** `stableText` and the rest. */
  readonly text: string;
  /** A prefix of `text` that later interims and the final keep; it only grows. */
  readonly stableText: string;
  readonly words: readonly TimedText[];
  /** Sound that this result has heard, from the stream's start. */
  readonly heardSec: number;
}

/** An utterance that will not change. */
export interface FinalEvent {
  readonly type: "final";
  readonly utterance: number;
  readonly text: string;
  /** Times from the stream's start. */
  readonly words: readonly TimedText[];
  readonly tokens: Transcript["tokens"];
  /** Tokens that are no speech (`<EOU>`, `<EOB>`, language tags that are stripped), where there are any: not in `text`. */
  readonly events?: Transcript["events"];
  readonly startSec: number;
  readonly endSec: number;
  /** Mean confidence of the words, 0 to 1; undefined where there is none. */
  readonly confidence: number | undefined;
  readonly reason: "silence" | "max-utterance" | "asked" | "eou" | "end";
  /** The text goes on in the middle of the previous final's last word (a word spoken across a cut): join without a space. */
  readonly joinsPrevious: boolean;
  readonly heardSec: number;
}

/** What a stream reports. */
export type StreamEvent = InterimEvent | FinalEvent;

/** One live recording. Events come in order, through the callback it was opened with. */
export interface SpeechStream {
  readonly id: number;
  /**
   * Takes mono samples in [-1, 1] at the stream's rate, any number of them. Samples that are not finite are refused.
   * Resolves when more may be fed: a caller that awaits it never overfills the queue.
   * @throws ArgumentError for anything but a `Float32Array`
   * @throws SpeechError `AUDIO_INVALID` for NaN, `CLOSED` after `finish` or `close`, `OVER_CAPACITY` when fed without waiting
   */
  feed(samples: Float32Array): Promise<void>;
  /**
   * Cuts a final behind what is recognised of the sound so far, which is whole chunks of its mode (or windows); the stream
   * goes on with all its state. Sound behind the last whole chunk is the next utterance's, in the middle of a word, too
   * (`joinsPrevious`): where nothing more is said, `finish` is the end that waits for nothing. Resolves after the final.
   */
  endUtterance(): Promise<void>;
  /** Ends the stream: the tail is flushed exactly as offline, the last final comes (if there is text), then it resolves. */
  finish(): Promise<void>;
  /** Abandons the stream at once, without a final; idempotent. */
  close(): Promise<void>;
  /** Everything needed to go on elsewhere: a versioned blob, tied to the model's fingerprint. Waits for what was fed. */
  save(): Promise<Uint8Array>;
}

/** One latency that streams can have. */
export interface LatencyMode {
  readonly attContext: readonly number[];
  /** Sound that one chunk takes. */
  readonly chunkSec: number;
  /** Sound that a step waits for at most before it is computed: `chunkSec` unless told. */
  readonly latencySec?: number;
  /**
   * `cache-aware` unless told: each step is computed once, and the numbers are those of the whole recording. With
   * `exact-windows` sound is encoded again with every window that overlaps it, and the numbers are the same too; with
   * `windows` they differ a little, because a step hears a window and not the whole.
   */
  readonly method?: "cache-aware" | "exact-windows" | "windows";
}

/** Many live streams on one model. */
export interface SpeechEngine {
  readonly sampleRateHz: number;
  /** The latency modes: every attention context that can be streamed; the default first. */
  readonly modes: readonly LatencyMode[];
  /**
   * The context that `transcribe` uses unless told. Where `modes` does not list it, no stream of this engine can have it:
   * an encoder of style `regular` that looks ahead does so in every layer, beyond the end of any chunk (NeMo's own stream
   * encodes all that look-ahead again for each step). Such a stream's text is `transcribe`'s in the context of its mode.
   */
  readonly defaultContext: readonly number[];
  /**
   * Opens a stream, or goes on with a saved one.
   * @param onEvent called in order; must not throw
   * @throws ArgumentError for options or a receiver of the wrong type, RangeError for numbers out of range
   * @throws SpeechError `OVER_CAPACITY` when the machine carries no further stream in real time
   */
  open(options: StreamOptions, onEvent: (event: StreamEvent) => void, saved?: Uint8Array): Promise<SpeechStream>;
  /** Streams open now. */
  readonly numStreams: number;
  /** Refuses new streams, waits until those that are open have ended, then frees everything. Idempotent. */
  drain(): Promise<void>;
  /** Ends everything now. Idempotent. */
  close(): Promise<void>;
}
