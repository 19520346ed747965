// A recording to text: FileAudioSource → NeMoSTT, the operators of an SPL application as Web streams.
//   npm run sample:file [-- RECORDING [MODEL]]
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { createFileAudioSource, createNeMoSTT } from "@nemo-stt/streams";

const [filename = "examples/audio/garden-slt.wav", modelPath = BUNDLED_MODELS.speech] = process.argv.slice(2);

// A .nemo file has its own tokens; the original's parameter is required all the same.
const recogniser = createNeMoSTT({ modelPath, tokensPath: "none" }, { warn: () => {} });
try {
  for await (const item of createFileAudioSource({ filename }).pipeThrough(recogniser)) {
    if (item.kind === "tuple") console.log(item.tuple.transcription);
  }
  const { audioMs, realTimeFactor = 0 } = recogniser.statistics.read();
  console.error(`${(audioMs / 1000).toFixed(1)} s of sound, ${(1 / realTimeFactor).toFixed(0)} × real time`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
