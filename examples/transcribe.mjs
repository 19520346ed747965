// Ten lines: the bundled model on one of the bundled recordings.
import { loadModel, openAudio, toModelInput } from "@nemo-stt/node";

const model = await loadModel(); // or loadModel("path/to/model.nemo")
const audio = await openAudio(new URL("./audio/garden-slt.wav", import.meta.url).pathname);
const [waveform] = await toModelInput(audio, model.spec.sampleRateHz);
const [result] = await model.transcribe([waveform]);
console.log(result.text);
for (const word of result.words.slice(0, 3)) console.log(word.startSec.toFixed(2), word.endSec.toFixed(2), word.text);
await audio.close();
await model.close();
