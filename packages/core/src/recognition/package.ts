import type { ModelSpec } from "../config/spec.ts";
import type { GraphLocation } from "../runtime.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Calibration } from "../transcript/calibration.ts";

/** A model ready to be loaded: its description, its graphs and what stands beside them. */
export interface ModelPackage {
  /** What to call it in messages. */
  readonly name: string;
  /** The checkpoint's content and the precision of the weights: what saved streams belong to. */
  readonly fingerprint: string;
  readonly spec: ModelSpec;
  /** Absent for classifiers. */
  readonly tokenizer: Tokenizer | undefined;
  /** The checkpoint's own analysis window and mel filterbank, where it has them. */
  readonly featureTensors: { readonly window?: Float32Array; readonly filterbank?: Float32Array };
  /** What makes probabilities of its confidences, where that was measured. */
  readonly calibration?: Calibration;
  readonly graphs: {
    readonly encoder: GraphLocation;
    readonly prediction?: GraphLocation;
    readonly joint?: GraphLocation;
    readonly streaming?: GraphLocation;
  };
}
