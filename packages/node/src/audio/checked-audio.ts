import { isSpeechError, SpeechError } from "@nemo-stt/core";
import type { DecodedAudio, Warn } from "./decoded.ts";
import type { Audio } from "./open-audio.ts";
import { soundCheck } from "./sound-check.ts";

const MAX_BLOCK_SAMPLES = 65_536;
/** With more broken samples than sound ones nothing is left that could be understood. */
const MIN_FINITE_SHARE = 0.5;
/** What `channels` holds at most; beyond it a recording is read in blocks. */
const MAX_CHANNELS_BYTES = 4 * 2 ** 30;
/** A damaged file may have a thousand damaged places. */
const MAX_WARNINGS = 20;

/** What is told of one recording: each sentence once, and not without end. */
export interface Warnings {
  readonly warnings: readonly string[];
  readonly warn: Warn;
}

/** An empty list of warnings. */
export function createWarnings(): Warnings {
  const warnings: string[] = [];
  const warn = (sentence: string) => {
    if (warnings.length < MAX_WARNINGS && !warnings.includes(sentence)) warnings.push(sentence);
  };
  return { warnings, warn };
}

/** A recording whose samples are looked at as they pass: what is no number becomes silence, and is told. */
export function audioOf(
  { name, close }: Pick<Audio, "name" | "close">,
  decoded: DecodedAudio,
  { warnings, warn }: Warnings,
): Audio {
  const { format, sampleRateHz, numChannels, numSamples } = decoded;

  async function* blocks(): AsyncGenerator<Float32Array[], void, undefined> {
    const check = soundCheck(warn);
    for await (const block of untilDamage(decoded, warn)) {
      check.take(block);
      for (let start = 0; start < block[0].length; start += MAX_BLOCK_SAMPLES) {
        yield block.map((channel) => channel.subarray(start, start + MAX_BLOCK_SAMPLES));
      }
    }
    check.finish();
    if (check.finiteShare < MIN_FINITE_SHARE) {
      const broken = `${((1 - check.finiteShare) * 100).toFixed(0)} %`;
      const text = `${name}: expected samples of sound, got ${broken} that are no numbers. The file is damaged.`;
      throw new SpeechError("AUDIO_INVALID", text);
    }
  }

  return {
    name,
    format,
    sampleRateHz,
    numChannels,
    durationSec: numSamples === undefined ? undefined : numSamples / sampleRateHz,
    warnings,
    blocks,
    channels: () => collectChannels(blocks(), name, numChannels),
    close,
  };
}

/** What comes before a place that cannot be decoded is worth having; a file of which nothing can be is not. */
async function* untilDamage(decoded: DecodedAudio, warn: Warn): AsyncGenerator<Float32Array[], void, undefined> {
  let hasSound = false;
  try {
    for await (const block of decoded.blocks(warn)) {
      yield block;
      hasSound = true;
    }
  } catch (error) {
    if (!hasSound || !isSpeechError(error) || error.code !== "AUDIO_INVALID") throw error;
    warn("Its end is damaged and was left out.");
  }
}

/** Joins blocks to one array for each channel. */
export async function collectChannels(
  blocks: AsyncIterable<readonly Float32Array[]>,
  name: string,
  numChannels: number,
): Promise<Float32Array[]> {
  const parts: (readonly Float32Array[])[] = [];
  let numSamples = 0;
  for await (const block of blocks) {
    parts.push(block);
    numSamples += block[0].length;
    if (numSamples * numChannels * 4 > MAX_CHANNELS_BYTES) {
      const text = `${name}: expected at most ${MAX_CHANNELS_BYTES} bytes of samples at once, got more. Read it in blocks.`;
      throw new SpeechError("LIMIT_EXCEEDED", text);
    }
  }
  return Array.from({ length: numChannels }, (_, channel) => {
    const joined = new Float32Array(numSamples);
    let start = 0;
    for (const part of parts) {
      joined.set(part[channel], start);
      start += part[channel].length;
    }
    return joined;
  });
}
