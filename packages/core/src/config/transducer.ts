import {
  type ConfigBlock,
  childBlock,
  choiceOr,
  flagOr,
  ignoreKeys,
  integersOf,
  invalid,
  modelError,
  pathOf,
  rawValue,
  rejectUnknownKeys,
  requiredBlock,
  rootBlock,
  targetOf,
  textOr,
  unsupportedValue,
} from "./block.ts";
import { describeMaxSymbols, describeTemperature } from "./decoding.ts";
import { refusal } from "./refusals.ts";
import type { TransducerSpec } from "./spec.ts";
import { dimsOf, findTensor, requireLayer, requireRank, requireTensor, type TensorTable } from "./tensor-table.ts";

/** Durations above a second of steps make no sense; published models stop at 4. */
const MAX_DURATION = 1000;

/** The stateless networks of the recipes look back on one or two labels. */
const MAX_CONTEXT = 256;

/**
 * Describes prediction network and joint (rnnt.py): RNNT, or TDT where the joint has outputs beyond the blank.
 * @param numLabels length of the vocabulary where it is known; without it the embedding's rows tell
 */
export function describeTransducer(
  root: ConfigBlock,
  table: TensorTable,
  encoderSize: number,
  numLabels: number | undefined,
): TransducerSpec {
  refuseMultiBlank(root);
  const joint = describeJoint(requiredBlock(root, "joint"), table, encoderSize);
  const { prediction, size, numRows } = describePrediction(requiredBlock(root, "decoder"), table, numLabels);
  const vocabularySize = numRows;
  requireLayer(table, "joint.pred", [joint.hiddenSize, size], `a prediction network of ${size}`);
  if (joint.numOutputs <= vocabularySize) {
    throw invalid(
      `the joint network has ${joint.numOutputs} outputs, expected at least ${vocabularySize + 1} from a vocabulary of ${vocabularySize} and blank.`,
    );
  }
  const durations = describeDurations(root, joint.numOutputs - vocabularySize - 1);
  // A softmax divided by a temperature gives the same tokens and other confidences.
  if (describeTemperature(root) !== 1) throw unsupportedValue(requiredBlock(root, "decoding"), "temperature", "1");
  return {
    kind: durations.length > 0 ? "tdt" : "rnnt",
    vocabularySize,
    durations,
    prediction,
    joint,
    maxSymbols: describeMaxSymbols(root),
  };
}

function refuseMultiBlank(root: ConfigBlock): void {
  const loss = childBlock(root, "loss");
  const decoding = childBlock(root, "decoding");
  if (loss && textOr(loss, "loss_name", undefined) === "multiblank_rnnt") {
    throw refusal("`loss.loss_name` is multiblank_rnnt", "multi-blank");
  }
  const durations = decoding && integersOf(decoding, "big_blank_durations", 0);
  if (durations && durations.length > 0) throw refusal("`decoding.big_blank_durations` is set", "multi-blank");
}

function describeJoint(block: ConfigBlock, table: TensorTable, encoderSize: number): TransducerSpec["joint"] {
  const target = targetOf(block) ?? "RNNTJoint";
  if (target !== "RNNTJoint" && target !== "SampledRNNTJoint") {
    throw modelError("MODEL_UNSUPPORTED", `model_config.yaml: \`joint\` is a ${target}, supported is RNNTJoint.`);
  }
  const net = childBlock(block, "jointnet") ?? rootBlock({});
  const activation = choiceOr(net, "activation", ["relu", "sigmoid", "tanh"] as const, "relu");
  ignoreKeys(net, ["encoder_hidden", "pred_hidden", "joint_hidden", "dropout"]);
  rejectUnknownKeys(net);
  ignoreKeys(block, ["num_classes", "num_extra_outputs", "vocabulary", "log_softmax", "preserve_memory"]);
  ignoreKeys(block, ["fuse_loss_wer", "fused_batch_size", "experimental_fuse_loss_wer", "masking_prob", "n_samples"]);
  rejectUnknownKeys(block);

  const [hiddenSize] = requireRank(table, "joint.enc.weight", 2);
  requireLayer(table, "joint.enc", [hiddenSize, encoderSize], `an encoder of ${encoderSize}`);
  // A dropout that is not 0 stands between activation and output and moves the output's number.
  const output = findTensor(table, /^joint\.joint_net\.\d+\.weight$/) ?? "joint.joint_net.2.weight";
  const outputPrefix = output.slice(0, -".weight".length);
  const [numOutputs] = requireRank(table, output, 2);
  requireLayer(table, outputPrefix, [numOutputs, hiddenSize], `a joint network of ${hiddenSize}`);
  return { hiddenSize, activation, outputPrefix, numOutputs };
}

interface Prediction {
  readonly prediction: TransducerSpec["prediction"];
  /** Of the output. */
  readonly size: number;
  /** Vocabulary without blank. */
  readonly numRows: number;
}

function describePrediction(block: ConfigBlock, table: TensorTable, numLabels: number | undefined): Prediction {
  const target = targetOf(block) ?? "RNNTDecoder";
  const normalization = textOr(block, "normalization_mode", undefined);
  const blankAsPad = flagOr(block, "blank_as_pad", true);
  ignoreKeys(block, ["prednet", "vocab_size", "random_state_sampling", "context_size"]);
  rejectUnknownKeys(block);
  const prednet = childBlock(block, "prednet");
  if (prednet) {
    ignoreKeys(prednet, ["pred_hidden", "pred_rnn_layers", "rnn_hidden_size", "dropout", "t_max"]);
    ignoreKeys(prednet, ["forget_gate_bias", "weights_init_scale", "hidden_hidden_bias_scale"]);
    rejectUnknownKeys(prednet);
  }
  if (target === "StatelessTransducerDecoder") return describeStateless(table, normalization === "layer");
  if (target !== "RNNTDecoder") {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`decoder\` is a ${target}, supported for transducers are RNNTDecoder and StatelessTransducerDecoder.`,
    );
  }
  if (normalization !== undefined) throw unsupportedValue(block, "normalization_mode", "none for an LSTM");
  return describeLstm(table, blankAsPad, numLabels);
}

function describeLstm(table: TensorTable, blankAsPad: boolean, numLabels: number | undefined): Prediction {
  const [numRows, embeddingSize] = requireRank(table, "decoder.prediction.embed.weight", 2);
  const hasBlankRow = numLabels === undefined ? blankAsPad : numRows !== numLabels;
  const prefix = "decoder.prediction.dec_rnn.lstm";
  const [, hiddenInput] = requireRank(table, `${prefix}.weight_hh_l0`, 2);
  const projectionSize = dimsOf(table, `${prefix}.weight_hr_l0`)?.[0];
  const [numGates] = requireRank(table, `${prefix}.weight_ih_l0`, 2);
  const hiddenSize = projectionSize === undefined ? hiddenInput : numGates / 4;
  const outSize = projectionSize ?? hiddenSize;
  let numLayers = 0;
  for (; numLayers === 0 || dimsOf(table, `${prefix}.weight_ih_l${numLayers}`) !== undefined; numLayers++) {
    const from = `an LSTM of ${hiddenSize} over embeddings of ${embeddingSize}`;
    const claim = (name: string, dims: number[]): void =>
      requireTensor(table, `${prefix}.${name}_l${numLayers}`, dims, from);
    claim("weight_ih", [4 * hiddenSize, numLayers === 0 ? embeddingSize : outSize]);
    claim("weight_hh", [4 * hiddenSize, outSize]);
    claim("bias_ih", [4 * hiddenSize]);
    claim("bias_hh", [4 * hiddenSize]);
    if (projectionSize !== undefined) claim("weight_hr", [projectionSize, hiddenSize]);
  }
  return {
    prediction: { kind: "lstm", numLayers, hiddenSize, embeddingSize, projectionSize, hasBlankRow },
    size: outSize,
    numRows: hasBlankRow ? numRows - 1 : numRows,
  };
}

/** The newest label has the larger half of the output, the older ones share the rest (stateless_net.py). */
function describeStateless(table: TensorTable, layerNorm: boolean): Prediction {
  const name = (i: number): string => `decoder.prediction.embeds.${i}.weight`;
  const [numRows] = requireRank(table, name(0), 2);
  let contextSize = 0;
  let hiddenSize = 0;
  for (; contextSize < MAX_CONTEXT; contextSize++) {
    const dims = dimsOf(table, name(contextSize));
    if (dims === undefined) break;
    requireTensor(table, name(contextSize), [numRows, dims[1]], `${numRows} labels`);
    hiddenSize += dims[1];
  }
  return {
    prediction: { kind: "stateless", contextSize, hiddenSize, layerNorm },
    size: hiddenSize,
    numRows: numRows - 1,
  };
}

/**
 * The durations of a TDT model, one for each output beyond the blank. NeMo takes them from the loss
 * (`set_decoding_type_according_to_loss`), else from `decoding`.
 */
export function describeDurations(root: ConfigBlock, numExtra: number): readonly number[] {
  if (numExtra === 0) return [];
  const loss = childBlock(root, "loss");
  const isTdt = loss && textOr(loss, "loss_name", undefined) === "tdt";
  const owners = [isTdt ? childBlock(loss, "tdt_kwargs") : undefined, childBlock(root, "decoding")];
  const defaults = childBlock(root, "model_defaults");
  const lists = owners.map((owner) => owner && listOf(owner, "durations"));
  lists.push(defaults && listOf(defaults, "tdt_durations"));
  const durations = lists.find((list) => list !== undefined && list.length > 0);
  if (durations === undefined) {
    throw invalid(
      `the joint network has ${numExtra} outputs beyond the blank, but no durations stand in \`loss.tdt_kwargs\`, \`decoding\` or \`model_defaults\`.`,
    );
  }
  if (durations.length !== numExtra) {
    throw invalid(
      `the durations are [${durations.join(", ")}], but the joint network has ${numExtra} outputs beyond the blank.`,
    );
  }
  return durations;
}

function listOf(block: ConfigBlock, key: string): number[] | undefined {
  const list = integersOf(block, key, 0);
  if (list?.some((duration) => duration > MAX_DURATION)) {
    throw invalid(
      `\`${pathOf(block, key)}\` is [${rawValue(block, key)}], expected durations of at most ${MAX_DURATION}.`,
    );
  }
  return list;
}
