import { initialState, stateSize } from "../architectures/heads.ts";
import type { ModelSpec, TransducerSpec } from "../config/spec.ts";
import type { PredictionRows, TransducerNetworks } from "../decoding/transducer.ts";
import { contextSize, takesContext } from "../export/graphs.ts";
import { defaultContext } from "../export/layouts.ts";
import type { GraphSession, Runtime } from "../runtime.ts";
import { float32, int32, int64, type Tensor } from "../tensor.ts";
import type { Head } from "./head-decoder.ts";
import type { ModelPackage } from "./package.ts";

/** Features of a batch: `[batch, mel, frame]` row-major, zero beyond each row's valid frames. */
export interface FeatureBatch {
  readonly data: Float32Array;
  readonly numMels: number;
  readonly numFrames: number;
  /** Valid frames of each row. */
  readonly lengths: readonly number[];
}

/** What the encoder and the heads fused to it give for a batch. */
export interface Encoded {
  /** Width of the arrays in steps; rows are valid up to their own length. */
  readonly numSteps: number;
  readonly lengths: readonly number[];
  /** `[batch, model, step]`; empty where a graph of another tool does not show it */
  readonly encoded: Float32Array;
  /** `[batch, step, class]`, models with CTC */
  readonly logProbs?: Float32Array;
  /** `[batch, step, joint]`, transducers */
  readonly projected?: Float32Array;
  /** `[batch, class]` or `[batch, step, class]`, classifiers */
  readonly logits?: Float32Array;
}

/** A model's networks, loaded. */
export interface AcousticModel {
  readonly spec: ModelSpec;
  /**
   * @param context as `att_context_size`; the checkpoint's default unless told
   * @param head the one head whose outputs are wanted; all of them unless told
   */
  encode(batch: FeatureBatch, context?: readonly number[], head?: Head): Promise<Encoded>;
  /** The prediction network alone, for comparisons: its output `[row, hidden]` and next states. Transducers of ours only. */
  readonly predictHidden?: (tokens: Int32Array, states: Float32Array) => Promise<PredictionRows>;
  /** Transducers only. */
  readonly networks: TransducerNetworks | undefined;
  /** Frees the graphs; idempotent. */
  close(): Promise<void>;
}

/** Loads the graphs of a model in our own layout. */
export async function openAcousticModel(model: ModelPackage, runtime: Runtime, numThreads = 1): Promise<AcousticModel> {
  const { spec, graphs } = model;
  const encoder = await runtime.load(graphs.encoder, { numThreads });
  const transducer = await loadTransducer(model, runtime, numThreads).catch(async (error) => {
    await encoder.close();
    throw error;
  });
  return {
    spec,
    encode: (batch, context) => encode(spec, encoder, batch, context),
    networks: transducer.networks,
    ...(transducer.predictHidden && { predictHidden: transducer.predictHidden }),
    async close() {
      await Promise.all([encoder.close(), transducer.close()]);
    },
  };
}

/** The networks of a transducer's decoding; without them for other models. */
export async function loadTransducer(
  { spec, graphs }: ModelPackage,
  runtime: Runtime,
  numThreads = 1,
): Promise<Pick<AcousticModel, "networks" | "predictHidden" | "close">> {
  const { transducer } = spec.heads;
  if (!transducer || !graphs.prediction || !graphs.joint) return { networks: undefined, close: async () => {} };
  const prediction = await runtime.load(graphs.prediction, { numThreads });
  const joint = await runtime.load(graphs.joint, { numThreads }).catch(async (error) => {
    await prediction.close();
    throw error;
  });
  return {
    networks: transducerNetworks(transducer, prediction, joint),
    predictHidden: hiddenPrediction(transducer, prediction),
    async close() {
      await Promise.all([prediction.close(), joint.close()]);
    },
  };
}

async function encode(
  spec: ModelSpec,
  session: GraphSession,
  batch: FeatureBatch,
  context?: readonly number[],
): Promise<Encoded> {
  const feeds: Record<string, Tensor> = {
    audio_signal: float32(batch.data, [batch.lengths.length, batch.numMels, batch.numFrames]),
    length: int64(batch.lengths),
  };
  if (takesContext(spec)) feeds.att_context = int64(context ?? defaultContext(spec), [contextSize(spec)]);
  const out = await session.run(feeds);
  const floats = (name: string) => out[name]?.data as Float32Array | undefined;
  return {
    numSteps: out.encoded.dims[2],
    lengths: Array.from(out.encoded_lengths.data as BigInt64Array, Number),
    encoded: out.encoded.data as Float32Array,
    logProbs: floats("log_probs"),
    projected: floats("encoder_projected"),
    logits: floats("logits"),
  };
}

function hiddenPrediction(spec: TransducerSpec, prediction: GraphSession): NonNullable<AcousticModel["predictHidden"]> {
  const size = stateSize(spec);
  return async (tokens, states) => {
    const feeds: Record<string, Tensor> = { tokens: int32(tokens) };
    if (size > 0) feeds.state = float32(states, [tokens.length, size]);
    const out = await prediction.run(feeds);
    return {
      outputs: out.hidden.data as Float32Array,
      states: size > 0 ? (out.next_state.data as Float32Array) : states,
    };
  };
}

function transducerNetworks(spec: TransducerSpec, prediction: GraphSession, joint: GraphSession): TransducerNetworks {
  const jointSize = spec.joint.hiddenSize;
  const size = stateSize(spec);
  return {
    jointSize,
    numOutputs: spec.joint.numOutputs,
    initialState: initialState(spec),
    async predict(tokens, states) {
      const feeds: Record<string, Tensor> = { tokens: int32(tokens) };
      if (size > 0) feeds.state = float32(states, [tokens.length, size]);
      const out = await prediction.run(feeds, size > 0 ? ["prediction", "next_state"] : ["prediction"]);
      return {
        outputs: out.prediction.data as Float32Array,
        states: size > 0 ? (out.next_state.data as Float32Array) : states,
      };
    },
    async joint(encoderRows, predictionRows) {
      const dims = [encoderRows.length / jointSize, jointSize];
      const out = await joint.run({ encoder: float32(encoderRows, dims), prediction: float32(predictionRows, dims) });
      return out.logits.data as Float32Array;
    },
  };
}
