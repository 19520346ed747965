import { type ByteSource, openWav } from "@nemo-stt/core";
import { checkShape, type DecodedAudio, type Warn } from "./decoded.ts";

const BLOCK_SAMPLES = 65_536;

/**
 * Opens a WAV file.
 * @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED` when it is of an encoding that is not read here.
 */
export async function openWavFile(source: ByteSource, warn: Warn): Promise<DecodedAudio> {
  const wav = await openWav(source);
  const { sampleRateHz, numChannels, numSamples } = wav;
  checkShape(source.name, sampleRateHz, numChannels);
  for (const sentence of wav.warnings) warn(sentence);
  return {
    format: "WAV",
    sampleRateHz,
    numChannels,
    numSamples,
    async *blocks() {
      for (let start = 0; start < numSamples; start += BLOCK_SAMPLES) {
        yield await wav.read(start, Math.min(numSamples, start + BLOCK_SAMPLES));
      }
    },
  };
}
