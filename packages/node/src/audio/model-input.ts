import { createResampler, mixChannels, type ResampleStream } from "@nemo-stt/core";
import { type Audio, collectChannels } from "./open-audio.ts";

/** Which channels of a recording are wanted: their average, each for itself, or one by its number from 0. */
export type ChannelChoice = "mix" | "split" | number;

/** Options of `toModelInput`. */
export interface ModelInputOptions {
  /** `mix` unless told. */
  readonly channels?: ChannelChoice;
}

/**
 * The waveforms that a model takes of a recording: one for `mix` or a channel's number, one for each channel for `split`,
 * at the model's rate.
 * @throws RangeError when there is no such channel.
 * @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED`, `LIMIT_EXCEEDED`.
 */
export async function toModelInput(
  audio: Audio,
  targetRateHz: number,
  options: ModelInputOptions = {},
): Promise<Float32Array[]> {
  const numWaveforms = countWaveforms(audio, options.channels ?? "mix");
  return collectChannels(modelInputBlocks(audio, targetRateHz, options), audio.name, numWaveforms);
}

/** As `toModelInput`, in blocks that belong to the caller: memory does not grow with the recording. */
export async function* modelInputBlocks(
  audio: Audio,
  targetRateHz: number,
  options: ModelInputOptions = {},
): AsyncGenerator<Float32Array[], void, undefined> {
  const choice = options.channels ?? "mix";
  const numWaveforms = countWaveforms(audio, choice);
  const resampler = createResampler(audio.sampleRateHz, targetRateHz);
  const streams = Array.from({ length: numWaveforms }, () => resampler.openStream());
  const resample = (step: (stream: ResampleStream, i: number) => Float32Array) =>
    streams.map((stream, i) => step(stream, i).slice());
  for await (const block of audio.blocks()) {
    const chosen = choose(block, choice);
    const resampled = resample((stream, i) => stream.feed(chosen[i]));
    if (resampled[0].length > 0) yield resampled;
  }
  const rest = resample((stream) => stream.finish());
  if (rest[0].length > 0) yield rest;
}

function countWaveforms(audio: Audio, choice: ChannelChoice): number {
  if (choice === "mix") return 1;
  if (choice === "split") return audio.numChannels;
  if (Number.isInteger(choice) && choice >= 0 && choice < audio.numChannels) return 1;
  throw new RangeError(
    `options.channels: expected "mix", "split" or a channel of ${audio.name} from 0 to ${audio.numChannels - 1}, got ${choice}. Leave it out, or give one.`,
  );
}

function choose(block: Float32Array[], choice: ChannelChoice): readonly Float32Array[] {
  if (choice === "split") return block;
  return [choice === "mix" ? mixChannels(block) : block[choice]];
}
