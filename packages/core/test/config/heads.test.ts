import { describe, expect, test } from "vitest";
import { describeModel } from "../../src/config/describe.ts";
import type { ClassifierSpec, TransducerSpec } from "../../src/config/spec.ts";
import { conformer, convAsr, melFrontEnd, tensorMap } from "./synthetic.ts";
import {
  classifier,
  ctcModel,
  hybridModel,
  rnntModel,
  type Synthetic,
  type TransducerOptions,
} from "./synthetic-models.ts";

type Changes = Record<string, Record<string, unknown>>;

/** A model with members of some blocks of its configuration replaced; `decoding.greedy` and the like by dotted paths. */
function changed(synthetic: Synthetic, changes: Changes): Synthetic {
  const config = structuredClone(synthetic.config);
  for (const [path, values] of Object.entries(changes)) {
    let owner = config;
    for (const key of path.split(".")) {
      owner[key] ??= {};
      owner = owner[key] as Record<string, unknown>;
    }
    Object.assign(owner, values);
  }
  return { config, tensors: synthetic.tensors };
}

const headOf = (options: TransducerOptions = {}, changes: Changes = {}): TransducerSpec => {
  const { config, tensors } = changed(rnntModel(conformer(), options), changes);
  return describeModel(config, tensors).heads.transducer as TransducerSpec;
};

describe("describeTransducer", () => {
  test("describes an LSTM and its joint from their tensors", () => {
    expect(headOf({ layers: 2 })).toEqual({
      kind: "rnnt",
      vocabularySize: 6,
      durations: [],
      prediction: {
        ...{
          kind: "lstm",
          numLayers: 2,
          hiddenSize: 6,
          embeddingSize: 6,
          projectionSize: undefined,
          hasBlankRow: true,
        },
      },
      joint: { hiddenSize: 6, activation: "relu", outputPrefix: "joint.joint_net.2", numOutputs: 7 },
      maxSymbols: 10,
    });
  });

  test("lives with networks whose settings were emptied", () => {
    const { config, tensors } = rnntModel(conformer(), { layers: 2 });
    const decoder = { ...(config.decoder as object), prednet: {} };
    const joint = { ...(config.joint as object), jointnet: {} };
    expect(describeModel({ ...config, decoder, joint }, tensors).heads.transducer).toEqual(headOf({ layers: 2 }));
  });

  test("describes projected, stateless and blankless prediction networks", () => {
    expect(headOf({ rnnHidden: 10 }).prediction).toMatchObject({ hiddenSize: 10, projectionSize: 6, embeddingSize: 6 });
    const stateless = { kind: "stateless", contextSize: 2, hiddenSize: 6, layerNorm: false };
    expect(headOf({ contextSize: 2 }).prediction).toEqual(stateless);
    const layerNorm = { decoder: { normalization_mode: "layer" } };
    expect(headOf({ contextSize: 2 }, layerNorm).prediction).toEqual({ ...stateless, layerNorm: true });
    expect(headOf({ hasBlankRow: false })).toMatchObject({ vocabularySize: 6, prediction: { hasBlankRow: false } });
  });

  test("believes the embedding where the configuration says otherwise of its blank", () => {
    expect(headOf({}, { decoder: { blank_as_pad: false } })).toEqual(headOf());
    expect(headOf({ hasBlankRow: false }, { decoder: { blank_as_pad: true } }).vocabularySize).toBe(6);
  });

  test("finds the joint's output with and without dropout, and its activation", () => {
    expect(headOf({ dropout: 0 }).joint.outputPrefix).toBe("joint.joint_net.1");
    expect(headOf({}, { "joint.jointnet": { activation: "tanh" } }).joint.activation).toBe("tanh");
  });

  test("takes durations from the loss, then from decoding, then from the defaults", () => {
    const durations = [0, 1, 4];
    expect(headOf({ durations })).toMatchObject({ kind: "tdt", durations, joint: { numOutputs: 10 } });
    const other = { decoding: { durations: [0, 2, 3] }, model_defaults: { tdt_durations: [5, 6, 7] } };
    expect(headOf({ durations }, other).durations).toEqual(durations);
    const withoutLoss = { ...other, loss: { loss_name: "default" } };
    expect(headOf({ durations }, withoutLoss).durations).toEqual([0, 2, 3]);
    expect(headOf({ durations }, { ...withoutLoss, decoding: {} }).durations).toEqual([5, 6, 7]);
    expect(headOf({}, other)).toMatchObject({ kind: "rnnt", durations: [] });
  });

  test("reads how many symbols a step may have", () => {
    const maxSymbols = (greedy: object) => headOf({}, { decoding: { greedy } }).maxSymbols;
    expect(maxSymbols({ max_symbols: 5 })).toBe(5);
    expect(maxSymbols({ max_symbols: null, max_symbols_per_step: 7 })).toBe(7);
    expect(maxSymbols({ max_symbols_per_step: null })).toBeUndefined();
    expect(maxSymbols({ max_symbols: null })).toBe(10);
    expect(maxSymbols({})).toBe(10);
  });

  test.each<[string, TransducerOptions, Changes, string, string]>([
    [
      "a multi-blank loss",
      {},
      { loss: { loss_name: "multiblank_rnnt" } },
      "MODEL_UNSUPPORTED",
      "`loss.loss_name` is multiblank_rnnt: this model is a multi-blank transducer",
    ],
    [
      "big blanks",
      {},
      { decoding: { big_blank_durations: [2, 4] } },
      "MODEL_UNSUPPORTED",
      "`decoding.big_blank_durations` is set: this model is a multi-blank transducer",
    ],
    [
      "a joint of another class",
      {},
      { joint: { _target_: "x.MagicJoint" } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `joint` is a MagicJoint, supported is RNNTJoint.",
    ],
    [
      "a HAT joint",
      {},
      { joint: { _target_: "x.HATJoint" } },
      "MODEL_UNSUPPORTED",
      "`joint` is a HATJoint: this model is a hybrid autoregressive transducer (HAT)",
    ],
    [
      "a decoder of another class",
      {},
      { decoder: { _target_: "x.MagicDecoder" } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `decoder` is a MagicDecoder, supported for transducers are RNNTDecoder and StatelessTransducerDecoder.",
    ],
    [
      "a normalised LSTM",
      {},
      { decoder: { normalization_mode: "layer" } },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `decoder.normalization_mode` is "layer", supported is none for an LSTM.',
    ],
    [
      "an unknown option of the joint",
      {},
      { joint: { magic: 1 } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `joint.magic` is 1",
    ],
    [
      "an unknown option of the prediction network",
      {},
      { "decoder.prednet": { magic: 1 } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `decoder.prednet.magic` is 1",
    ],
    [
      "a softmax with a temperature",
      {},
      { decoding: { temperature: 2 } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `decoding.temperature` is 2, supported is 1.",
    ],
    [
      "extra outputs without durations",
      { durations: [0, 1] },
      { loss: { loss_name: "default" } },
      "MODEL_INVALID",
      "model_config.yaml: the joint network has 2 outputs beyond the blank, but no durations stand in `loss.tdt_kwargs`, `decoding` or `model_defaults`.",
    ],
    [
      "durations of another number",
      { durations: [0, 1] },
      { "loss.tdt_kwargs": { durations: [0, 1, 2] } },
      "MODEL_INVALID",
      "model_config.yaml: the durations are [0, 1, 2], but the joint network has 2 outputs beyond the blank.",
    ],
    [
      "durations that are none",
      { durations: [0, 1] },
      { "loss.tdt_kwargs": { durations: [0, 9999] } },
      "MODEL_INVALID",
      "model_config.yaml: `loss.tdt_kwargs.durations` is [0,9999], expected durations of at most 1000.",
    ],
  ])("refuses %s", (_, options, changes, code, text) => {
    expect(() => headOf(options, changes)).toThrow(expect.objectContaining({ code }));
    expect(() => headOf(options, changes)).toThrow(text);
  });

  test("refuses heads of different vocabularies", () => {
    const { config, tensors } = hybridModel(conformer());
    const smaller = tensorMap({
      "ctc_decoder.decoder_layers.0.weight": [6, 8, 1],
      "ctc_decoder.decoder_layers.0.bias": [6],
    });
    expect(() => describeModel(config, new Map([...tensors, ...smaller]))).toThrow(
      "model_config.yaml: the CTC head has 6 classes, but the transducer has 6 and blank.",
    );
  });
});

describe("describeCtc", () => {
  test("reads the temperature of either head's own block", () => {
    const ctc = (synthetic: Synthetic, changes: Changes) => {
      const { config, tensors } = changed(synthetic, changes);
      return describeModel(config, tensors).heads.ctc;
    };
    expect(ctc(ctcModel(conformer()), { decoding: { temperature: 1.5 } })?.temperature).toBe(1.5);
    expect(ctc(hybridModel(conformer()), { "aux_ctc.decoding": { temperature: 2 } })).toEqual({
      ...{ prefix: "ctc_decoder.", numClasses: 7, temperature: 2 },
    });
  });

  test.each<[string, Changes, string]>([
    [
      "a head without blank",
      { decoder: { add_blank: false } },
      "model_config.yaml: `decoder.add_blank` is false, supported is true.",
    ],
    ["an unknown option", { decoder: { magic: 1 } }, "model_config.yaml: `decoder.magic` is 1"],
    [
      "another module",
      { decoder: { _target_: "x.MagicDecoder" } },
      "model_config.yaml: `decoder` is a MagicDecoder, supported for CTC is ConvASRDecoder.",
    ],
  ])("refuses %s", (_, changes, text) => {
    const { config, tensors } = changed(ctcModel(conformer()), changes);
    expect(() => describeModel(config, tensors)).toThrow(expect.objectContaining({ code: "MODEL_UNSUPPORTED" }));
    expect(() => describeModel(config, tensors)).toThrow(text);
  });
});

describe("describeClassifier", () => {
  const encoder = convAsr([{ filters: 8, kernel: 5 }]);
  const pooled = classifier(encoder, melFrontEnd(), ["no", "yes"]);
  const frame = classifier(encoder, melFrontEnd(), ["0", "1"], true);
  const describeIt = (synthetic: Synthetic): ClassifierSpec =>
    describeModel(synthetic.config, synthetic.tensors).heads.classifier as ClassifierSpec;

  test("describes pooled heads and heads of every frame", () => {
    expect(describeIt(pooled)).toMatchObject({
      ...{ kind: "pooled", prefix: "decoder.", labels: ["no", "yes"], numClasses: 2, pooling: "avg" },
    });
    expect(describeIt(changed(pooled, { decoder: { pooling_type: "max" } })).pooling).toBe("max");
    expect(describeIt(frame)).toMatchObject({
      kind: "frame",
      layers: ["layer0"],
      logSoftmax: false,
      labels: ["0", "1"],
    });
    expect(describeModel(pooled.config, pooled.tensors).tokenizer).toBeUndefined();
  });

  test("counts the layers of a perceptron by its tensors and has its defaults", () => {
    const two = tensorMap({
      "decoder.layer0.weight": [8, 8],
      "decoder.layer0.bias": [8],
      "decoder.layer2.weight": [2, 8],
      "decoder.layer2.bias": [2],
    });
    const decoder = { _target_: "x.MultiLayerPerceptron", hidden_size: 8, num_classes: 2 };
    const deep = { config: { ...frame.config, decoder }, tensors: new Map([...frame.tensors, ...two]) };
    expect(describeIt(deep)).toMatchObject({ layers: ["layer0", "layer2"], activation: "relu", logSoftmax: true });
  });

  test("refuses classifiers that were trained to give a number", () => {
    expect(() => describeIt({ ...pooled, config: { ...pooled.config, is_regression_task: true } })).toThrow(
      "`is_regression_task` is set: this model is a regression model: it gives one number for a recording.",
    );
  });

  test("refuses labels of another number", () => {
    expect(() => describeIt({ ...pooled, config: { ...pooled.config, labels: ["a", "b", "c"] } })).toThrow(
      "model_config.yaml: `labels` has 3 names, but the classifier has 2 classes.",
    );
  });

  test("numbers the classes where there are no labels", () => {
    expect(describeIt({ ...pooled, config: { ...pooled.config, labels: null } }).labels).toEqual(["0", "1"]);
  });

  test.each<[string, Synthetic, Changes, string, string]>([
    [
      "another head",
      pooled,
      { decoder: { _target_: "x.MagicHead" } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `decoder` is a MagicHead, supported for this class is ConvASRDecoderClassification.",
    ],
    [
      "another activation",
      frame,
      { decoder: { activation: "selu" } },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `decoder.activation` is "selu", supported is one of "relu", "tanh", "sigmoid".',
    ],
    [
      "a turned perceptron",
      frame,
      { decoder: { channel_idx: 1 } },
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `decoder.channel_idx` is 1, supported is none.",
    ],
    [
      "random crops",
      frame,
      { crop_or_pad_augment: { audio_length: 128 } },
      "MODEL_UNSUPPORTED",
      'model_config.yaml: `crop_or_pad_augment` is {"audio_length":128}, supported is none.',
    ],
  ])("refuses %s", (_, synthetic, changes, code, text) => {
    const other = changed(synthetic, changes);
    expect(() => describeIt(other)).toThrow(expect.objectContaining({ code }));
    expect(() => describeIt(other)).toThrow(text);
  });
});
