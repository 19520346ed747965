import { createResampler, encodeSamples, mixChannels, type ResampleStream, type SampleEncoding } from "@nemo-stt/core";
import { type Audio, openAudio } from "@nemo-stt/node";
import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import type { ChannelAudioStream } from "../spl/schemas.ts";
import { ENCODINGS } from "../voice/encodings.ts";
import { channelInfo } from "./channel-splitter.ts";
import { FILE_AUDIO_SOURCE, STEREO_FILE_AUDIO_SOURCE } from "./parameter-tables.ts";
import { type Given, resolveParameters, type Warn } from "./parameters.ts";
import type { AudioTuple } from "./speech-operator.ts";

/** The parameters of `FileAudioSource`. */
export type FileAudioSourceParameters = Given<typeof FILE_AUDIO_SOURCE.parameters>;
/** The parameters of `StereoFileAudioSource`. */
export type StereoFileAudioSourceParameters = Given<typeof STEREO_FILE_AUDIO_SOURCE.parameters>;

const RAW_BY_BITS: Readonly<Record<number, SampleEncoding>> = { 8: "u8", 16: "s16le", 24: "s24le", 32: "s32le" };
const BYTES = 2;

/**
 * `FileAudioSource`: a recording as 16-bit PCM in tuples of `blockSize` bytes, each with the time of its first sample,
 * then a window mark and the final mark.
 * @throws TypeError, RangeError for parameters; the stream fails with the SpeechError of the file
 */
export function createFileAudioSource(
  parameters: FileAudioSourceParameters,
  { warn = console.warn }: { readonly warn?: Warn } = {},
): ReadableStream<Item<AudioTuple>> {
  const values = resolveParameters(FILE_AUDIO_SOURCE, parameters, warn);
  const { filename, sampleRate, channelCount, blockSize } = values;
  const encoding = RAW_BY_BITS[values.bitsPerSample];
  if (!encoding)
    throw new RangeError(
      `FileAudioSource.bitsPerSample: expected 8, 16, 24 or 32, got ${values.bitsPerSample}. Give one of them.`,
    );
  const raw = { encoding, sampleRateHz: sampleRate, numChannels: channelCount };
  async function* items(): AsyncGenerator<Item<AudioTuple>> {
    const audio = await openAudio(filename, { raw });
    try {
      const shaped = (block: Float32Array[]) => withChannels(block, channelCount, audio.name);
      const channels = resampled(audio, sampleRate, shaped);
      for await (const { bytes, startSample } of cutBlocks(channels, blockSize, channelCount)) {
        const audioTimestamp = BigInt(Math.round((startSample * 1000) / sampleRate));
        yield tupleItem({ audioChunk: bytes, audioTimestamp });
      }
    } finally {
      for (const sentence of audio.warnings) if (!isAboutRaw(sentence)) warn(`${filename}: ${sentence}`);
      await audio.close();
    }
    yield WINDOW_MARK;
    yield FINAL_MARK;
  }
  return streamOf(items())[0];
}

/** Parameters describe samples without a header; that a file has one is no oddity. */
const isAboutRaw = (sentence: string): boolean => sentence.startsWith("It was named as samples without a header");

/**
 * `StereoFileAudioSource`: a recording of two channels as two streams of 16-bit PCM, with roles and times, then the marks.
 * The two streams are to be read side by side.
 * @throws TypeError, RangeError for parameters; the streams fail with the SpeechError of the file
 */
export function createStereoFileAudioSource(
  parameters: StereoFileAudioSourceParameters,
  { warn = console.warn }: { readonly warn?: Warn } = {},
): {
  readonly left: ReadableStream<Item<ChannelAudioStream>>;
  readonly right: ReadableStream<Item<ChannelAudioStream>>;
} {
  const values = resolveParameters(STEREO_FILE_AUDIO_SOURCE, parameters, warn);
  const { filename, blockSize, targetSampleRate } = values;
  const raw = { encoding: ENCODINGS[values.encoding], sampleRateHz: values.sampleRate, numChannels: 2 };
  const infos = [channelInfo(0, values.leftChannelRole), channelInfo(1, values.rightChannelRole)];
  async function* items(): AsyncGenerator<Item<ChannelAudioStream>[]> {
    const audio = await openAudio(filename, { raw });
    try {
      if (audio.numChannels !== 2)
        throw new RangeError(
          `${filename}: expected a recording of 2 channels, got ${audio.numChannels}. Use FileAudioSource.`,
        );
      const sampleRate = targetSampleRate === 0 ? audio.sampleRateHz : targetSampleRate;
      const pairs = cutBlocks(
        resampled(audio, sampleRate, (block) => block),
        blockSize,
        2,
      );
      for await (const { channels, startSample } of pairs) {
        const audioTimestamp = BigInt(Math.round((startSample * 1000) / sampleRate));
        yield channels.map((samples, i) => {
          const audioData = encodeSamples([samples], "s16le");
          return tupleItem({ audioData, audioTimestamp, channelInfo: infos[i], sampleRate, bitsPerSample: 16 });
        });
      }
    } finally {
      for (const sentence of audio.warnings) if (!isAboutRaw(sentence)) warn(`${filename}: ${sentence}`);
      await audio.close();
    }
    yield [WINDOW_MARK, WINDOW_MARK];
    yield [FINAL_MARK, FINAL_MARK];
  }
  const [left, right] = streamOf(items(), 2);
  return { left, right };
}

function withChannels(block: Float32Array[], wanted: number, name: string): Float32Array[] {
  if (block.length === wanted) return block;
  if (wanted === 1) return [mixChannels(block)];
  if (block.length === 1) return Array.from({ length: wanted }, () => block[0]);
  throw new RangeError(
    `${name}: expected a recording of ${wanted} channels or one, got ${block.length}. Set channelCount to 1 or ${block.length}.`,
  );
}

async function* resampled(
  audio: Audio,
  toHz: number,
  shape: (block: Float32Array[]) => Float32Array[],
): AsyncGenerator<Float32Array[]> {
  const resampler = createResampler(audio.sampleRateHz, toHz);
  let streams: ResampleStream[] | undefined;
  for await (const block of audio.blocks()) {
    const channels = shape(block);
    streams ??= channels.map(() => resampler.openStream());
    const open = streams;
    yield channels.map((samples, i) => open[i].feed(samples).slice());
  }
  if (streams) yield streams.map((stream) => stream.finish().slice());
}

interface Block {
  readonly channels: Float32Array[];
  readonly bytes: Uint8Array;
  /** For each channel. */
  readonly startSample: number;
}

/** Cuts channels into blocks of `blockBytes` of interleaved 16-bit samples, at least one sample each. */
async function* cutBlocks(
  parts: AsyncIterable<Float32Array[]>,
  blockBytes: number,
  numChannels: number,
): AsyncGenerator<Block> {
  const size = Math.max(1, Math.floor(blockBytes / (BYTES * numChannels)));
  const pending = Array.from({ length: numChannels }, () => new Float32Array(size));
  let filled = 0;
  let startSample = 0;
  const block = (): Block => {
    const channels = pending.map((samples) => samples.slice(0, filled));
    const made = { channels, bytes: encodeSamples(channels, "s16le"), startSample };
    startSample += filled;
    filled = 0;
    return made;
  };
  for await (const part of parts) {
    for (let at = 0; at < part[0].length; ) {
      const count = Math.min(size - filled, part[0].length - at);
      for (const [i, samples] of part.entries()) pending[i].set(samples.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled === size) yield block();
    }
  }
  if (filled > 0) yield block();
}

/** Items as streams, one for each place of what the generator gives; it goes on when all of them have room. */
function streamOf<T>(items: AsyncGenerator<Item<T> | Item<T>[]>, numPorts = 1): ReadableStream<Item<T>>[] {
  const controllers: ReadableStreamDefaultController<Item<T>>[] = [];
  let isPulling = false;
  let isOver = false;
  const hasRoom = () => controllers.every((controller) => (controller.desiredSize ?? 0) > 0);
  const pull = async () => {
    if (isPulling || controllers.length < numPorts) return;
    isPulling = true;
    try {
      while (!isOver && hasRoom()) {
        const { value, done } = await items.next();
        if (isOver) return;
        isOver = done === true;
        if (done) for (const controller of controllers) controller.close();
        else for (const [i, item] of (Array.isArray(value) ? value : [value]).entries()) controllers[i].enqueue(item);
      }
    } catch (error) {
      isOver = true;
      for (const controller of controllers) controller.error(error);
    } finally {
      isPulling = false;
    }
  };
  const cancel = async (reason: unknown) => {
    if (isOver) return;
    isOver = true;
    await items.return(undefined);
    for (const controller of controllers) {
      // The one that was cancelled is closed already.
      if (controller.desiredSize !== null && controller.desiredSize !== 0)
        controller.error(reason ?? new Error("The source was cancelled."));
    }
  };
  return Array.from({ length: numPorts }, () => {
    const source = {
      start: (controller: ReadableStreamDefaultController<Item<T>>) => void controllers.push(controller),
      pull,
      cancel,
    };
    return new ReadableStream<Item<T>>(source, { highWaterMark: 2 });
  });
}
