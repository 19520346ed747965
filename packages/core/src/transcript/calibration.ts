import type { ConfidenceSpec } from "../config/spec.ts";
import { checkStoredConfidence } from "../decoding/confidence.ts";
import { SpeechError } from "../errors.ts";

/**
 * A monotone map from a confidence to the share of answers with this confidence that are right:
 * `1 / (1 + exp(-(a · ln x − b · ln(1 − x) + c)))` with `a, b ≥ 0` (beta calibration, Kull et al. 2017).
 */
export interface ConfidenceMap {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** The maps of one head. */
export interface HeadCalibration {
  readonly token: ConfidenceMap;
  readonly word: ConfidenceMap;
}

/** Calibration of one model's confidences, as it stands in a file beside the model. */
export interface Calibration {
  readonly schema: typeof CALIBRATION_SCHEMA;
  /** Fingerprint of the checkpoint's content, without the precision of its weights, where it is known. */
  readonly model?: string;
  /** The method whose values the maps take. */
  readonly confidence: ConfidenceSpec;
  readonly heads: { readonly ctc?: HeadCalibration; readonly transducer?: HeadCalibration };
  /** Where it comes from, for people. */
  readonly about?: string;
}

/** The form of the file. */
export const CALIBRATION_SCHEMA = "nemo-stt/calibration/1";

/** A float32 next to 1 is nearer to it than this; NeMo's methods reach both ends. */
const EDGE = 1e-7;

/** The two terms that a map weighs: `ln x` and `−ln(1 − x)`. */
export function confidenceTerms(confidence: number): readonly [number, number] {
  const x = Math.min(1 - EDGE, Math.max(EDGE, confidence));
  return [Math.log(x), -Math.log1p(-x)];
}

/** The share of answers of this confidence that are right. */
export function calibrate({ a, b, c }: ConfidenceMap, confidence: number): number {
  const [low, high] = confidenceTerms(confidence);
  return 1 / (1 + Math.exp(-(a * low + b * high + c)));
}

/** The maps of a head, where there are any and they take values of this method. */
export function headCalibration(
  calibration: Calibration | undefined,
  head: "ctc" | "transducer",
  confidence: ConfidenceSpec,
): HeadCalibration | undefined {
  if (!calibration) return undefined;
  const names = Object.keys(calibration.confidence) as (keyof ConfidenceSpec)[];
  return names.every((name) => calibration.confidence[name] === confidence[name]) ? calibration.heads[head] : undefined;
}

/**
 * Checks that a calibration is of this model.
 * @param fingerprint of the checkpoint, with or without the precision of its weights
 * @throws SpeechError `MODEL_INVALID`
 */
export function checkCalibration({ model }: Calibration, fingerprint: string, where: string): void {
  const own = modelOf(fingerprint);
  if (model === undefined || model === own) return;
  throw new SpeechError(
    "MODEL_INVALID",
    `${where}: expected the calibration of model ${own.slice(0, 16)}, got one of ${String(model).slice(0, 16)}. Make it again with \`eval --calibrate\`, or remove it.`,
  );
}

/** The checkpoint of a fingerprint that names the precision of weights too. */
export const modelOf = (fingerprint: string): string => fingerprint.split("-")[0];

/**
 * Reads a calibration file.
 * @throws SpeechError `FORMAT_INVALID`, or `FORMAT_UNSUPPORTED` for another schema
 */
export function parseCalibration(text: string, where: string): Calibration {
  let value: Partial<Calibration> | null;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a calibration in JSON, got text that is none. Make it again with \`eval --calibrate\`.`,
      { cause },
    );
  }
  if (value?.schema !== CALIBRATION_SCHEMA) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${where}: expected schema ${CALIBRATION_SCHEMA}, got ${JSON.stringify(value?.schema)}. Make it again with \`eval --calibrate\`.`,
    );
  }
  const { confidence, heads } = value;
  const all = Object.values(heads ?? {});
  if (typeof confidence === "object" && confidence !== null && all.length > 0 && all.every(isHead)) {
    checkStoredConfidence(`${where}: confidence`, confidence, "Make it again with `eval --calibrate`.");
    return value as Calibration;
  }
  throw new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected maps with numbers a and b from 0 up and c for the tokens and words of a head, got others or none. Make it again with \`eval --calibrate\`.`,
  );
}

function isHead(head: HeadCalibration | undefined): boolean {
  return isMap(head?.token) && isMap(head?.word);
}

function isMap(map: ConfidenceMap | undefined): boolean {
  return map !== undefined && map.a >= 0 && map.b >= 0 && [map.a, map.b, map.c].every(Number.isFinite);
}
