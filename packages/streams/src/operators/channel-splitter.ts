import { createResampler, createSampleDecoder, encodeSamples, type ResampleStream } from "@nemo-stt/core";
import { type Item, tupleItem } from "../items.ts";
import type { ChannelAudioStream, ChannelMetadata, ChannelRole } from "../spl/schemas.ts";
import { ENCODINGS, type EncodingName } from "../voice/encodings.ts";
import { SenderClock } from "../voice/sender-clock.ts";
import { createSoundDecoder } from "../voice/sound-decoder.ts";
import { checkAudio, createPorts } from "./operator.ts";
import { AUDIO_CHANNEL_SPLITTER } from "./parameter-tables.ts";
import { type Given, resolveParameters, type Warn } from "./parameters.ts";

/** The parameters of `AudioChannelSplitter`. */
export type AudioChannelSplitterParameters = Given<typeof AUDIO_CHANNEL_SPLITTER.parameters>;

/** A block of both channels. */
export interface StereoTuple {
  readonly audioData: Uint8Array;
  /** Milliseconds. */
  readonly audioTimestamp: bigint;
}

/** `AudioChannelSplitter`: one input port, an output port for each channel. The two are to be read side by side. */
export interface ChannelSplitter {
  readonly writable: WritableStream<Item<StereoTuple>>;
  readonly left: ReadableStream<Item<ChannelAudioStream>>;
  readonly right: ReadableStream<Item<ChannelAudioStream>>;
}

/**
 * `AudioChannelSplitter`: two-channel sound in, 16-bit PCM of each channel out. Blocks may end inside a sample pair: the
 * rest is kept. A block's time is that of its first sample, counted from the last timestamp that was believed
 * (`SenderClock`); marks flush the resampler, begin a new count and go to both ports. Interleaved sound that begins with the header of a WAV file is what the header says.
 * @throws TypeError, RangeError for parameters; the streams fail with the SpeechError of a header
 */
export function createAudioChannelSplitter(
  parameters: AudioChannelSplitterParameters = {},
  { warn = console.warn }: { readonly warn?: Warn } = {},
): ChannelSplitter {
  const values = resolveParameters(AUDIO_CHANNEL_SPLITTER, parameters, warn);
  const decoder = values.stereoFormat === "interleaved" ? interleaved(values) : sideBySide(values);
  const roles = [values.leftChannelRole, values.rightChannelRole];
  let channels: readonly ChannelOutput[] = [];
  const outputs = (): readonly ChannelOutput[] => {
    const rate = decoder.sampleRateHz();
    const outRate = values.targetSampleRate === 0 ? rate : values.targetSampleRate;
    return roles.map((role, channelNumber) => new ChannelOutput(channelInfo(channelNumber, role), rate, outRate));
  };
  const { writable, readables } = createPorts<StereoTuple, ChannelAudioStream>(AUDIO_CHANNEL_SPLITTER.name, 2, {
    async take(item, emit) {
      if (item.kind === "tuple") {
        const { audioData, audioTimestamp } = item.tuple;
        checkAudio(AUDIO_CHANNEL_SPLITTER.name, "audioData", audioData, audioTimestamp);
        const samples = await decoder.feed(audioData);
        if (!samples) return;
        if (channels.length === 0) channels = outputs();
        channels.forEach((channel, port) => {
          for (const tuple of channel.feed(samples[port], Number(audioTimestamp))) emit(tupleItem(tuple), port);
        });
        return;
      }
      channels.forEach((channel, port) => {
        for (const tuple of channel.flush()) emit(tupleItem(tuple), port);
      });
      roles.forEach((_, port) => {
        emit(item, port);
      });
    },
    async end(emit) {
      channels.forEach((channel, port) => {
        for (const tuple of channel.flush()) emit(tupleItem(tuple), port);
      });
    },
    async close() {},
  });
  return { writable, left: readables[0], right: readables[1] };
}

/** What is known of a channel when only its role is. */
export const channelInfo = (channelNumber: number, channelRole: ChannelRole): ChannelMetadata => ({
  channelNumber,
  channelRole,
  phoneNumber: "",
  speakerId: "",
  additionalMetadata: new Map(),
});

interface Layout {
  readonly encoding: EncodingName;
  readonly sampleRate: number;
}

/** Blocks to samples of both channels. */
interface StereoDecoder {
  /** Nothing while a header is under way. */
  feed(bytes: Uint8Array): Promise<Float32Array[] | undefined>;
  /** Known from the first samples on. */
  sampleRateHz(): number;
}

function interleaved({ encoding, sampleRate }: Layout): StereoDecoder {
  const { name } = AUDIO_CHANNEL_SPLITTER;
  const format = { encoding: ENCODINGS[encoding], sampleRateHz: sampleRate, numChannels: 2 };
  const decoder = createSoundDecoder(format, name);
  return {
    async feed(bytes) {
      const channels = await decoder.feedChannels(bytes);
      if (channels && channels.length !== 2)
        throw new RangeError(`${name}: expected sound of 2 channels, got a header of ${channels.length}. Use NeMoSTT.`);
      return channels;
    },
    sampleRateHz: () => decoder.format.sampleRateHz,
  };
}

/** Each block holds its left half, then its right half; samples that a block's half cuts are completed by the next block's. */
function sideBySide({ encoding, sampleRate }: Layout): StereoDecoder {
  const decoders = [createSampleDecoder(ENCODINGS[encoding]), createSampleDecoder(ENCODINGS[encoding])];
  return {
    async feed(bytes) {
      if (bytes.length % 2 === 1)
        throw new RangeError(
          `AudioChannelSplitter: expected blocks of an even number of bytes, half of them left, got ${bytes.length}. Cut them so.`,
        );
      const half = bytes.length / 2;
      return decoders.map((decoder, i) => decoder.feed(bytes.subarray(i * half, (i + 1) * half))[0]);
    },
    sampleRateHz: () => sampleRate,
  };
}

/** One channel's way out: resampled with state, timed by its samples. */
class ChannelOutput {
  readonly #info: ChannelMetadata;
  readonly #fromHz: number;
  readonly #toHz: number;
  #resampling: ResampleStream | undefined;
  /** The last timestamp that counted, and samples in and out since. */
  #anchorMs: number | undefined;
  #numIn = 0;
  #numOut = 0;
  readonly #clock = new SenderClock();
  readonly #createResampler: () => ResampleStream;

  constructor(info: ChannelMetadata, fromHz: number, toHz: number) {
    this.#info = info;
    this.#fromHz = fromHz;
    this.#toHz = toHz;
    const resampler = createResampler(fromHz, toHz);
    this.#createResampler = () => resampler.openStream();
  }

  *feed(samples: Float32Array, timestampMs: number): Generator<ChannelAudioStream> {
    const countedMs = (this.#anchorMs ?? 0) + (this.#numIn * 1000) / this.#fromHz;
    // Sound is missing or was repeated: what was before it comes out at its own time.
    if (this.#clock.jumps(timestampMs, countedMs) && this.#anchorMs !== undefined) yield* this.flush();
    if (this.#anchorMs === undefined) {
      this.#anchorMs = timestampMs;
      this.#numIn = 0;
      this.#numOut = 0;
    }
    this.#resampling ??= this.#createResampler();
    this.#numIn += samples.length;
    yield* this.#tuple(this.#resampling.feed(samples));
  }

  /** The rest of what the resampler holds; the next block's timestamp counts anew. */
  *flush(): Generator<ChannelAudioStream> {
    const rest = this.#resampling?.finish();
    this.#resampling = undefined;
    if (rest) yield* this.#tuple(rest);
    this.#anchorMs = undefined;
  }

  *#tuple(samples: Float32Array): Generator<ChannelAudioStream> {
    if (samples.length === 0) return;
    const timeMs = (this.#anchorMs ?? 0) + (this.#numOut * 1000) / this.#toHz;
    this.#numOut += samples.length;
    yield {
      audioData: encodeSamples([samples], "s16le"),
      audioTimestamp: BigInt(Math.round(timeMs)),
      channelInfo: this.#info,
      sampleRate: this.#toHz,
      bitsPerSample: 16,
    };
  }
}
