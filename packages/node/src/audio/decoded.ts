import { isSpeechError, SpeechError } from "@nemo-stt/core";

/** The samples of a recording as its format's reader gives them, before any check of their sound. */
export interface DecodedAudio {
  /** What was found, as a person calls it: `WAV`, `FLAC`, `OGG Opus`. */
  readonly format: string;
  readonly sampleRateHz: number;
  readonly numChannels: number;
  /** For each channel, where the file says it. */
  readonly numSamples?: number;
  /** Decodes from the start: one array for each channel, all of one length, which belong to the caller. */
  blocks(warn: Warn): AsyncGenerator<Float32Array[], void, undefined>;
}

/** Takes a sentence about something that is wrong with the recording and does not stop its use. */
export type Warn = (sentence: string) => void;

/** Read at a time from a compressed file. */
export const READ_BYTES = 65_536;

/** More channels than any microphone array's recording; a limit on what a hostile header makes us allocate. */
const MAX_CHANNELS = 32;
/** From the lowest rate of speech coders to the highest of studio recordings. */
const SAMPLE_RATE_RANGE = [1_000, 768_000] as const;

/** Checks what a header says before anything is allocated for it. */
export function checkShape(name: string, sampleRateHz: number, numChannels: number): void {
  if (!(numChannels >= 1 && numChannels <= MAX_CHANNELS)) {
    throw new SpeechError(
      "AUDIO_UNSUPPORTED",
      `${name}: expected 1 to ${MAX_CHANNELS} channels, got ${numChannels}. Convert it to mono or stereo.`,
    );
  }
  const [lowest, highest] = SAMPLE_RATE_RANGE;
  if (!(sampleRateHz >= lowest && sampleRateHz <= highest)) {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${name}: expected a sample rate of ${lowest} to ${highest} Hz, got ${sampleRateHz} Hz. The file is corrupt.`,
    );
  }
}

/** Refuses a recording that changes its rate or channels on the way: no player keeps such files in step either. */
export function checkSameShape(
  name: string,
  first: { sampleRateHz: number; numChannels: number },
  now: { sampleRateHz: number; numChannels: number },
): void {
  if (first.sampleRateHz === now.sampleRateHz && first.numChannels === now.numChannels) return;
  const say = (shape: typeof first) => `${shape.sampleRateHz} Hz and ${shape.numChannels} channels`;
  throw new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${name}: expected ${say(first)} throughout, got a part of ${say(now)}. Convert it, or split it into its parts.`,
  );
}

/**
 * Calls a wasm decoder: what it prints on the console is dropped (it reports the same in its result), what it throws
 * becomes `AUDIO_INVALID`. `decode` must do its work before it returns.
 */
export async function callDecoder<T>(name: string, decode: () => T | Promise<T>): Promise<T> {
  const print = console.error;
  let result: T | Promise<T>;
  try {
    console.error = () => {};
    result = decode();
  } catch (error) {
    throw damaged(name, error);
  } finally {
    console.error = print;
  }
  try {
    return await result;
  } catch (error) {
    throw damaged(name, error);
  }
}

function damaged(name: string, error: unknown): SpeechError {
  if (isSpeechError(error)) return error;
  const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
  return new SpeechError(
    "AUDIO_INVALID",
    `${name}: expected audio that can be decoded, got an error of the decoder: ${reason}. The file is damaged.`,
    { cause: error },
  );
}

/** Tells of frames or packets that the decoder could not use. */
export function warnOfErrors(warn: Warn, errors: readonly unknown[]): void {
  if (errors.length > 0) warn("Parts of it are damaged and were left out; times after them are early.");
}

/** Tells when a recording ends before its header says. */
export function warnIfShort(
  warn: Warn,
  audio: { readonly numSamples?: number; readonly sampleRateHz: number },
  numDecoded: number,
  toleranceSamples = 0,
): void {
  if (audio.numSamples === undefined || numDecoded + toleranceSamples >= audio.numSamples) return;
  const seconds = (samples: number) => (samples / audio.sampleRateHz).toFixed(2);
  warn(`It is cut off: ${seconds(numDecoded)} s of the ${seconds(audio.numSamples)} s that its header tells of.`);
}
