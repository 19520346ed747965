import { createSampleDecoder, mixChannels, type SampleDecoder } from "@nemo-stt/core";
import type { SoundFormat } from "./encodings.ts";
import { readWavStart, type WavHeader } from "./wav-header.ts";

/** Bytes of a voice on their way to samples: cut anywhere, with or without a WAV header in front. */
export interface SoundDecoder {
  /** Mono samples of what came; none while a header is under way. @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED` */
  feed(bytes: Uint8Array): Promise<Float32Array>;
  /** The same with its channels apart; nothing while a header is under way. */
  feedChannels(bytes: Uint8Array): Promise<Float32Array[] | undefined>;
  /** What the header said, or what was given; given formats hold until a header is complete. */
  readonly format: SoundFormat;
  /** A WAV header was found and taken away. */
  readonly hasHeader: boolean;
  /** What the header said, once: where it was found since this was asked last. */
  takeHeader(): WavHeader | undefined;
  /** Nothing came yet. */
  readonly isFresh: boolean;
  /** Nothing that came waits for what comes: no sample is cut here, and no header. */
  readonly isBetweenSamples: boolean;
  /** Bytes of a sample that has begun: a stream that goes on begins with them. None behind a WAV file. */
  pendingBytes(): Uint8Array;
  /** Everything needed to go on. */
  save(): SavedDecoder;
}

/** A decoder as plain data. */
export interface SavedDecoder {
  readonly format: SoundFormat;
  readonly hasHeader: boolean;
  /** What came of the beginning, as long as it may be a header. */
  readonly head: Uint8Array | undefined;
  /** Bytes of a sample that has begun. */
  readonly pending: Uint8Array;
  readonly remainingBytes: number | undefined;
}

/**
 * Creates a decoder. A stream that begins with a WAV header is read by it (a FileAudioSource that knows no headers sends
 * them as sound); any other as `format` says. Several channels are mixed.
 */
export function createSoundDecoder(format: SoundFormat, name: string, saved?: SavedDecoder): SoundDecoder {
  return new Decoder(format, name, saved);
}

/** Samples of 64 bits and 256 channels. */
const MAX_FRAME_BYTES = 2048;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

class Decoder implements SoundDecoder {
  format: SoundFormat;
  hasHeader = false;
  readonly #name: string;
  #header: WavHeader | undefined;
  #head: Uint8Array | undefined = new Uint8Array(0);
  #samples: SampleDecoder | undefined;
  /** The last bytes that came: those of a sample that has begun are among them. */
  #last = new Uint8Array(0);
  /** Bytes of samples that the header promised and that did not come yet. */
  #remaining = Number.POSITIVE_INFINITY;

  constructor(format: SoundFormat, name: string, saved: SavedDecoder | undefined) {
    this.format = saved?.format ?? format;
    this.#name = name;
    if (saved === undefined) return;
    this.hasHeader = saved.hasHeader;
    this.#head = saved.head;
    this.#remaining = saved.remainingBytes ?? Number.POSITIVE_INFINITY;
    // Less than a sample: nothing comes out, and the rest of it will find it there.
    if (saved.pending.length > 0) this.#decode(saved.pending, saved.pending.length);
  }

  takeHeader(): WavHeader | undefined {
    const header = this.#header;
    this.#header = undefined;
    return header;
  }

  get isFresh(): boolean {
    return this.#head?.length === 0;
  }

  get isBetweenSamples(): boolean {
    return this.#head ? this.isFresh : this.#numPending === 0;
  }

  get #numPending(): number {
    return this.#samples?.numPendingBytes ?? 0;
  }

  save(): SavedDecoder {
    return {
      format: this.format,
      hasHeader: this.hasHeader,
      head: this.#head,
      pending: this.#last.slice(this.#last.length - this.#numPending),
      remainingBytes: this.#remaining === Number.POSITIVE_INFINITY ? undefined : this.#remaining,
    };
  }

  pendingBytes(): Uint8Array {
    if (this.#head) return this.#head;
    return this.hasHeader ? new Uint8Array(0) : this.#last.slice(this.#last.length - this.#numPending);
  }

  async feed(bytes: Uint8Array): Promise<Float32Array> {
    const channels = await this.feedChannels(bytes);
    if (channels === undefined) return new Float32Array(0);
    return channels.length === 1 ? channels[0] : mixChannels(channels);
  }

  async feedChannels(bytes: Uint8Array): Promise<Float32Array[] | undefined> {
    if (this.#head === undefined) return this.#decode(bytes);
    const head = joined(this.#head, bytes);
    this.#head = head;
    const state = await readWavStart(head, this.#name);
    if (state.kind === "more") return undefined;
    this.#head = undefined;
    if (state.kind === "raw") return this.#decode(head);
    this.hasHeader = true;
    const { format, dataBytes } = state.start;
    this.#header = { format, dataBytes };
    this.format = format;
    this.#remaining = dataBytes ?? Number.POSITIVE_INFINITY;
    return this.#decode(head.subarray(state.start.dataStart));
  }

  /** @param numCounted bytes that were counted before */
  #decode(bytes: Uint8Array, numCounted = 0): Float32Array[] {
    this.#samples ??= createSampleDecoder(this.format.encoding, this.format.numChannels);
    const sound = bytes.subarray(0, this.#remaining + numCounted);
    this.#last = joined(this.#last.subarray(-MAX_FRAME_BYTES), sound).slice(-MAX_FRAME_BYTES);
    this.#remaining -= sound.length - numCounted;
    return this.#samples.feed(sound);
  }
}
