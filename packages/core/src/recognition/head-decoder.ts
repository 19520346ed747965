import type { ConfidenceSpec, ModelSpec } from "../config/spec.ts";
import { type CtcState, createCtcDecoder } from "../decoding/ctc.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { closeHypothesis } from "../decoding/open-hypothesis.ts";
import { createTransducerDecoder } from "../decoding/transducer.ts";
import type { TransducerState } from "../decoding/transducer-state.ts";
import { SpeechError } from "../errors.ts";
import type { AcousticModel, Encoded } from "./acoustic.ts";

/** The two ways in which a model turns steps into tokens. */
export type Head = "ctc" | "transducer";

/** Some steps of one row of an encoded batch, for one recording. */
export interface StepRange {
  readonly state: CtcState | TransducerState;
  readonly row: number;
  /** Half open, in steps of the row. */
  readonly firstStep: number;
  readonly endStep: number;
}

/** Greedy decoding by either head, for any number of recordings with a state each. */
export interface HeadDecoder {
  readonly head: Head;
  createState(): CtcState | TransducerState;
  /** Decodes steps of several rows together, each continuing its own state. */
  push(encoded: Encoded, ranges: readonly StepRange[]): Promise<void>;
  /** What was found so far. */
  hypothesis(state: CtcState | TransducerState): Hypothesis;
}

/** The head a model uses unless told: the transducer where it has one, as NeMo's hybrids do. */
export function defaultHead(spec: ModelSpec): Head {
  return spec.heads.transducer ? "transducer" : "ctc";
}

/**
 * Makes the decoder of one head.
 * @param confidence the method by which tokens get a confidence
 * @throws SpeechError `MODEL_UNSUPPORTED` when the model does not have this head
 */
export function createHeadDecoder(
  model: Pick<AcousticModel, "spec" | "networks">,
  head: Head,
  confidence: ConfidenceSpec,
): HeadDecoder {
  const { ctc, transducer } = model.spec.heads;
  if (head === "ctc" && ctc) return ctcDecoder(ctc.numClasses, confidence);
  if (head === "transducer" && transducer && model.networks) return transducerDecoder(model, confidence);
  const heads = [...(transducer ? ["transducer"] : []), ...(ctc ? ["ctc"] : [])];
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${model.spec.className}: expected head ${heads.join(" or ") || "classifier"}, got ${head}. Choose a head the model has.`,
  );
}

function ctcDecoder(numClasses: number, confidence: ConfidenceSpec): HeadDecoder {
  const decoder = createCtcDecoder({ numClasses, confidence });
  return {
    head: "ctc",
    createState: () => decoder.createState(),
    async push(encoded, ranges) {
      const logProbs = encoded.logProbs as Float32Array;
      for (const { state, row, firstStep, endStep } of ranges) {
        const offset = (row * encoded.numSteps + firstStep) * numClasses;
        decoder.push(state as CtcState, logProbs, endStep - firstStep, offset);
      }
    },
    hypothesis: (state) => closeHypothesis(state.hypothesis),
  };
}

function transducerDecoder(model: Pick<AcousticModel, "spec" | "networks">, confidence: ConfidenceSpec): HeadDecoder {
  const networks = model.networks as NonNullable<AcousticModel["networks"]>;
  const spec = model.spec.heads.transducer as NonNullable<ModelSpec["heads"]["transducer"]>;
  const decoder = createTransducerDecoder(networks, {
    blank: spec.vocabularySize,
    durations: spec.kind === "tdt" ? spec.durations : [],
    maxSymbols: spec.maxSymbols,
    strategy: model.spec.decoding.strategy,
    confidence,
  });
  return {
    head: "transducer",
    createState: () => decoder.createState(),
    async push(encoded, ranges) {
      const projected = encoded.projected as Float32Array;
      await decoder.push(
        ranges.map(({ state, row, firstStep, endStep }) => {
          const start = row * encoded.numSteps;
          return {
            state: state as TransducerState,
            encoded: projected.subarray(
              (start + firstStep) * networks.jointSize,
              (start + endStep) * networks.jointSize,
            ),
            numSteps: endStep - firstStep,
          };
        }),
      );
    },
    hypothesis: (state) => closeHypothesis(state.hypothesis),
  };
}

/** Steps of a row that exist: encoders without masks report lengths that their strides never shortened. */
export function validSteps(encoded: Encoded, row: number): number {
  return Math.min(encoded.lengths[row], encoded.numSteps);
}

/** Decodes every row of an encoded batch by one head, with the checkpoint's own kind of confidence unless told. */
export async function decodeRows(
  acoustic: AcousticModel,
  head: Head,
  encoded: Encoded,
  confidence: ConfidenceSpec = acoustic.spec.decoding.confidence,
): Promise<Hypothesis[]> {
  const decoder = createHeadDecoder(acoustic, head, confidence);
  const states = encoded.lengths.map(() => decoder.createState());
  await decoder.push(
    encoded,
    states.map((state, row) => ({ state, row, firstStep: 0, endStep: validSteps(encoded, row) })),
  );
  return states.map((state) => decoder.hypothesis(state));
}
