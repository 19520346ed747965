import { writeFile } from "node:fs/promises";
import {
  CALIBRATION_SCHEMA,
  type Calibration,
  calibrateHead,
  defaultHead,
  type Head,
  modelOf,
  type Recognizer,
  SpeechError,
} from "@nemo-stt/core";
import { readCalibration } from "@nemo-stt/node";
import { percent, type Scored } from "./manifest.ts";

/**
 * Fits the confidences of the head that was used and writes the file; the other head's maps stay where the file has them.
 * @returns lines that say what it is worth
 * @throws SpeechError `LIMIT_EXCEEDED` for too few words, `WRITE_FAILED`
 */
export async function writeCalibration(
  path: string,
  recognizer: Recognizer,
  scored: readonly Scored[],
  head: Head = defaultHead(recognizer.spec),
): Promise<string[]> {
  const { head: maps, report } = calibrateHead(scored.map(({ judged }) => judged));
  const { confidence } = recognizer.spec.decoding;
  const model = recognizer.fingerprint === undefined ? undefined : modelOf(recognizer.fingerprint);
  const before = await readCalibration(path).catch(() => undefined);
  const isSame =
    before !== undefined && before.model === model && JSON.stringify(before.confidence) === JSON.stringify(confidence);
  const calibration: Calibration = {
    schema: CALIBRATION_SCHEMA,
    ...(model !== undefined && { model }),
    confidence,
    heads: { ...(isSame ? before.heads : {}), [head]: maps },
    about: `nemo-stt eval --calibrate: ${scored.length} recordings, half of them fitted`,
  };
  await writeFile(path, `${JSON.stringify(calibration, undefined, 2)}\n`).catch((cause: Error) => {
    throw new SpeechError(
      "WRITE_FAILED",
      `${path}: expected a file that can be written, got ${cause.message}. Check the path.`,
      { cause },
    );
  });
  return (["word", "token"] as const).map((kind) => {
    const { number, share, before: raw, after, ranking } = report[kind];
    return `${head} ${kind}s: ${number} not fitted, ${percent(share)} right; expected calibration error ${percent(raw)}, calibrated ${percent(after)}; ranking ${ranking.toFixed(3)}`;
  });
}
