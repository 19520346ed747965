import { cloneOpenHypothesis, type OpenHypothesis } from "./open-hypothesis.ts";

/**
 * Transducer decoding of one recording between two chunks. Plain data: numbers and arrays only, so that it can be
 * copied, sent to another thread and saved.
 *
 * There is no count of symbols at the current step: a chunk ends only when its last step has been left behind.
 */
export interface TransducerState {
  readonly hypothesis: OpenHypothesis;
  /** The prediction network's state before `lastToken` where `isStale`, after it otherwise. */
  readonly predictionState: Float32Array;
  /** The prediction network's projected output after `lastToken`; meaningless where `isStale`. */
  readonly predictionOutput: Float32Array;
  /** The last token emitted; blank at the start, which is what NeMo feeds for the start of a text. */
  lastToken: number;
  /** `lastToken` has not been fed to the prediction network yet: that waits until a step needs it. */
  isStale: boolean;
  /** Steps of the next chunk that a predicted duration has jumped over already (TDT). */
  skipSteps: number;
  /** Steps since the last token, and what is usual. They tell how far to look ahead and never change a result. */
  runSteps: number;
  typicalRunSteps: number;
}

/** An independent copy of a state. */
export function cloneTransducerState(state: TransducerState): TransducerState {
  return {
    ...state,
    hypothesis: cloneOpenHypothesis(state.hypothesis),
    predictionState: state.predictionState.slice(),
    predictionOutput: state.predictionOutput.slice(),
  };
}
