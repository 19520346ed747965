import {
  type ConfigBlock,
  choiceOr,
  flagOr,
  ignoreKeys,
  invalid,
  modelError,
  rawValue,
  rejectUnknownKeys,
  requiredBlock,
  targetOf,
  textsOf,
  unsupportedValue,
} from "./block.ts";
import { refusal } from "./refusals.ts";
import type { ClassifierSpec } from "./spec.ts";
import { dimsOf, requireLayer, requireRank, type TensorTable } from "./tensor-table.ts";

const PREFIX = "decoder.";

/** A perceptron in front of a frame classifier has one or two layers; more would be a mistake. */
const MAX_LAYERS = 64;

/**
 * Describes the head of a classifier: `ConvASRDecoderClassification` over a whole recording or `MultiLayerPerceptron` over
 * every step. `isFrame` says which of NeMo's classes the model is.
 */
export function describeClassifier(
  root: ConfigBlock,
  table: TensorTable,
  encoderSize: number,
  isFrame: boolean,
): ClassifierSpec {
  const block = requiredBlock(root, "decoder");
  const expected = isFrame ? "MultiLayerPerceptron" : "ConvASRDecoderClassification";
  const target = targetOf(block) ?? expected;
  if (target !== expected) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`decoder\` is a ${target}, supported for this class is ${expected}.`,
    );
  }
  if (isFrame && rawValue(root, "crop_or_pad_augment")) {
    // NeMo cuts a random piece here, in inference too, so not even two runs of its own agree.
    throw unsupportedValue(root, "crop_or_pad_augment", "none");
  }
  if (flagOr(root, "is_regression_task", false)) throw refusal("`is_regression_task` is set", "regression");
  const spec = isFrame ? describePerceptron(block, table, encoderSize) : describePooled(block, table, encoderSize);
  ignoreKeys(block, ["feat_in", "num_classes", "init_mode", "hidden_size", "num_layers", "dropout"]);
  rejectUnknownKeys(block);
  return { ...spec, labels: describeLabels(root, spec.numClasses) };
}

type Unlabelled = Omit<ClassifierSpec, "labels">;

function describePooled(block: ConfigBlock, table: TensorTable, encoderSize: number): Unlabelled {
  const [numClasses] = requireRank(table, `${PREFIX}decoder_layers.0.weight`, 2);
  requireLayer(table, `${PREFIX}decoder_layers.0`, [numClasses, encoderSize], `an encoder of ${encoderSize}`);
  return {
    kind: "pooled",
    prefix: PREFIX,
    numClasses,
    pooling: choiceOr(block, "pooling_type", ["avg", "max"] as const, "avg"),
    layers: [],
    activation: "identity",
    logSoftmax: false,
    softmax: !flagOr(block, "return_logits", true),
  };
}

/** Linear layers stand at the even places, activations (which have no tensors) between them. */
function describePerceptron(block: ConfigBlock, table: TensorTable, encoderSize: number): Unlabelled {
  const layers: string[] = [];
  let size = encoderSize;
  while (layers.length < MAX_LAYERS && dimsOf(table, `${PREFIX}layer${2 * layers.length}.weight`) !== undefined) {
    const name = `layer${2 * layers.length}`;
    const [outSize] = requireRank(table, `${PREFIX}${name}.weight`, 2);
    requireLayer(table, `${PREFIX}${name}`, [outSize, size], `an input of ${size}`);
    layers.push(name);
    size = outSize;
  }
  if (layers.length === 0) requireRank(table, `${PREFIX}layer0.weight`, 2);
  if (rawValue(block, "channel_idx") !== undefined && rawValue(block, "channel_idx") !== null) {
    throw unsupportedValue(block, "channel_idx", "none");
  }
  return {
    kind: "frame",
    prefix: PREFIX,
    numClasses: size,
    pooling: "avg",
    layers,
    activation: choiceOr(block, "activation", ["relu", "tanh", "sigmoid"] as const, "relu"),
    logSoftmax: flagOr(block, "log_softmax", true),
    softmax: false,
  };
}

function describeLabels(root: ConfigBlock, numClasses: number): readonly string[] {
  const labels = textsOf(root, "labels");
  if (labels === undefined) return Array.from({ length: numClasses }, (_, i) => String(i));
  if (labels.length !== numClasses) {
    throw invalid(`\`labels\` has ${labels.length} names, but the classifier has ${numClasses} classes.`);
  }
  return labels;
}
