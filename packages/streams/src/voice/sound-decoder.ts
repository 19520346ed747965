import { createSampleDecoder, mixChannels, type SampleDecoder } from "@nemo-stt/core";
import type { SoundFormat } from "./encodings.ts";
import { readWavStart } from "./wav-header.ts";

/** Bytes of a voice on their way to samples: cut anywhere, with or without a WAV header in front. */
export interface SoundDecoder {
  /** Mono samples of what came; none while a header is under way. @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED` */
  feed(bytes: Uint8Array): Promise<Float32Array>;
  /** What the header said, or what was given; given formats hold until a header is complete. */
  readonly format: SoundFormat;
  /** A WAV header was found and taken away. */
  readonly hasHeader: boolean;
  /** Bytes that wait for the rest of their sample or header. */
  readonly numPendingBytes: number;
}

/**
 * Creates a decoder. A stream that begins with a WAV header is read by it (a FileAudioSource that knows no headers sends
 * them as sound); any other as `format` says. Several channels are mixed.
 */
export function createSoundDecoder(format: SoundFormat, name: string): SoundDecoder {
  return new Decoder(format, name);
}

class Decoder implements SoundDecoder {
  format: SoundFormat;
  hasHeader = false;
  readonly #name: string;
  #head: Uint8Array | undefined = new Uint8Array(0);
  #samples: SampleDecoder | undefined;
  /** Bytes of samples that the header promised and that did not come yet. */
  #remaining = Number.POSITIVE_INFINITY;

  constructor(format: SoundFormat, name: string) {
    this.format = format;
    this.#name = name;
  }

  get numPendingBytes(): number {
    return (this.#head?.length ?? 0) + (this.#samples?.numPendingBytes ?? 0);
  }

  async feed(bytes: Uint8Array): Promise<Float32Array> {
    if (this.#head === undefined) return this.#decode(bytes);
    const head = new Uint8Array(this.#head.length + bytes.length);
    head.set(this.#head);
    head.set(bytes, this.#head.length);
    this.#head = head;
    const state = await readWavStart(head, this.#name);
    if (state.kind === "more") return new Float32Array(0);
    this.#head = undefined;
    if (state.kind === "raw") return this.#decode(head);
    this.hasHeader = true;
    this.format = state.start.format;
    this.#remaining = state.start.dataBytes ?? Number.POSITIVE_INFINITY;
    return this.#decode(head.subarray(state.start.dataStart));
  }

  #decode(bytes: Uint8Array): Float32Array {
    this.#samples ??= createSampleDecoder(this.format.encoding, this.format.numChannels);
    const sound = bytes.subarray(0, this.#remaining);
    this.#remaining -= sound.length;
    const channels = this.#samples.feed(sound);
    return channels.length === 1 ? channels[0] : mixChannels(channels);
  }
}
