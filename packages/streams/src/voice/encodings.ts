import type { SampleEncoding } from "@nemo-stt/core";

/** The toolkit's names of sample encodings that can be decoded, and what each is. 8-bit PCM is unsigned, as in WAV files. */
export const ENCODINGS = { pcm16: "s16le", pcm8: "u8", ulaw: "ulaw", alaw: "alaw" } as const satisfies Record<
  string,
  SampleEncoding
>;
/** A sample encoding by the toolkit's name. */
export type EncodingName = keyof typeof ENCODINGS;

/** How the samples of a stream without a header are to be read. */
export interface SoundFormat {
  readonly encoding: SampleEncoding;
  readonly sampleRateHz: number;
  readonly numChannels: number;
}
