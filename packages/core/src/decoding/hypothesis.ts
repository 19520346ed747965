/**
 * What greedy decoding found in one recording: parallel arrays, one entry a token. Steps count encoder outputs from the
 * start of the recording.
 */
export interface Hypothesis {
  readonly tokens: readonly number[];
  /** The step at which each token was emitted (CTC: the first of its run). */
  readonly steps: readonly number[];
  /** One past the last step of each token's run (CTC), the step plus its predicted duration (TDT), step + 1 (RNNT). */
  readonly endSteps: readonly number[];
  /** Predicted durations in steps; TDT only. */
  readonly durations?: readonly number[];
  /** Natural logarithm of the probability of each emitted token. */
  readonly logProbs: readonly number[];
  /** Confidence of each token by the configured method, where asked for. */
  readonly confidence?: readonly number[];
  /** Encoder steps of the recording. */
  readonly numSteps: number;
}
