// What is said into the microphone, as it is said; Ctrl-C ends it. Recorders that are used: arecord, parec, sox, ffmpeg.
//   npm run sample:microphone
import { openEngine, openMicrophone } from "@nemo-stt/node";

const engine = await openEngine(undefined, { numWorkers: 1 });
const isTerminal = process.stderr.isTTY;
try {
  const microphone = await openMicrophone(engine.sampleRateHz);
  process.once("SIGINT", () => microphone.stop());
  console.error(`listening with ${microphone.program}`);
  const stream = await engine.open({ attContext: [70, 1] }, ({ type, text }) => {
    if (isTerminal) process.stderr.write(`\r\x1b[K${type === "interim" ? `\x1b[2m${text.slice(-100)}\x1b[0m` : ""}`);
    if (type === "final" && text !== "") console.log(text);
  });
  let odd = new Uint8Array(0);
  for await (const piece of microphone.sound) {
    // 16-bit samples, which pieces may cut in two.
    const bytes = Buffer.concat([odd, piece]);
    const numSamples = bytes.length >> 1;
    await stream.feed(Float32Array.from({ length: numSamples }, (_, i) => bytes.readInt16LE(2 * i) / 32_768));
    odd = new Uint8Array(bytes.subarray(2 * numSamples));
  }
  await stream.finish();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await engine.close();
}
