import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import { describeModel } from "../../src/config/describe.ts";
import { conformer, melFrontEnd, tensorMap } from "./synthetic.ts";
import { charModel, ctcModel, hybridModel, rnntModel, type Synthetic } from "./synthetic-models.ts";

const describeIt = ({ config, tensors }: Synthetic) => describeModel(config, tensors);

function changed(
  synthetic: Synthetic,
  config: Record<string, unknown>,
  shapes: Record<string, number[] | undefined> = {},
) {
  const tensors = new Map(synthetic.tensors);
  for (const [name, dims] of Object.entries(shapes)) {
    tensors.delete(name);
    if (dims) for (const [key, info] of tensorMap({ [name]: dims })) tensors.set(key, info);
  }
  return { config: { ...synthetic.config, ...config }, tensors };
}

const block = (synthetic: Synthetic, key: string, values: Record<string, unknown>): Record<string, unknown> => ({
  [key]: { ...(synthetic.config[key] as object), ...values },
});

describe("describeModel", () => {
  const small = ctcModel(conformer());

  test("describes a model whole", () => {
    const { encoder, heads, features, ...spec } = describeIt(small);
    expect(spec).toMatchObject({ className: "EncDecCTCModelBPE", nemoVersion: "2.0.0", sampleRateHz: 16000 });
    expect(encoder).toMatchObject({ kind: "conformer", modelSize: 8, numLayers: 2, numHeads: 2, numMels: 80 });
    expect(heads).toEqual({ ctc: { prefix: "decoder.", numClasses: 7, temperature: 1 } });
    expect(features).toMatchObject({ kind: "mel", windowSamples: 400, hopSamples: 160, numMels: 80 });
    expect(spec.tokenizer).toMatchObject({ kind: "sentencepiece", artifact: "nemo:0123_tokenizer.model", size: 6 });
  });

  test("finds the model in a whole training configuration", () => {
    expect(describeModel({ model: small.config, trainer: { max_steps: 1 } }, small.tensors)).toEqual(describeIt(small));
  });

  test("reads configurations of 2020, with cls and params", () => {
    const { _target_, ...params } = small.config.encoder as Record<string, unknown>;
    const { _target_: head, ...headParams } = small.config.decoder as Record<string, unknown>;
    const old = changed(small, { encoder: { cls: _target_, params }, decoder: { cls: head, params: headParams } });
    expect(describeIt(old)).toEqual(describeIt(small));
  });

  test("guesses the class where an old archive does not name it", () => {
    const classOf = (synthetic: Synthetic) => describeIt(changed(synthetic, { target: undefined })).className;
    expect(classOf(small)).toBe("EncDecCTCModelBPE");
    expect(classOf(charModel(conformer()))).toBe("EncDecCTCModel");
    expect(classOf(rnntModel(conformer()))).toBe("EncDecRNNTBPEModel");
    expect(classOf(hybridModel(conformer()))).toBe("EncDecHybridRNNTCTCBPEModel");
  });

  test("takes a hybrid class without the CTC head's weights as the transducer it is", () => {
    const hybrid = hybridModel(conformer());
    const gone = { "ctc_decoder.decoder_layers.0.weight": undefined, "ctc_decoder.decoder_layers.0.bias": undefined };
    expect(Object.keys(describeIt(changed(hybrid, {}, gone)).heads)).toEqual(["transducer"]);
    expect(Object.keys(describeIt(hybrid).heads)).toEqual(["ctc", "transducer"]);
  });

  test("passes over tensors that have no effect", () => {
    const inert = { "loss.weight": [2], "encoder.pos_enc.pe": [1, 9, 8], "spec_augmentation.x": [1] };
    const more = { "preprocessor.featurizer.stft.forward_basis": [514, 1, 512], "ctc_loss.x": [1] };
    expect(describeIt(changed(small, {}, { ...inert, ...more }))).toEqual(describeIt(small));
  });

  const weight = "encoder.layers.1.conv.pointwise_conv1.weight";
  test.each<[string, Synthetic, string, string]>([
    [
      "a tensor of another shape",
      changed(small, {}, { [weight]: [8, 8, 1] }),
      "MODEL_INVALID",
      `weight \`${weight}\` has shape [8, 8, 1], expected [16, 8, 1] from \`encoder.d_model\` 8.`,
    ],
    [
      "a tensor that is missing",
      changed(small, {}, { [weight]: undefined }),
      "MODEL_INVALID",
      `weight \`${weight}\` is missing. The checkpoint is incomplete.`,
    ],
    [
      "front end and encoder that do not fit",
      changed(small, block(small, "preprocessor", { features: 96 })),
      "MODEL_INVALID",
      "model_config.yaml: `preprocessor.features` is 96, but `encoder.feat_in` is 80.",
    ],
    [
      "two sample rates",
      changed(small, { sample_rate: 8000 }),
      "MODEL_INVALID",
      "model_config.yaml: `sample_rate` is 8000, but `preprocessor.sample_rate` is 16000.",
    ],
    [
      "a tensor that belongs to nothing",
      changed(small, {}, { "encoder.magic.weight": [3, 4] }),
      "MODEL_UNSUPPORTED",
      "weight `encoder.magic.weight` [3, 4] belongs to no part of the model that is known here, and leaving it out would change the result.",
    ],
    [
      "a layer beyond a gap",
      changed(small, {}, { "encoder.layers.9.norm_out.weight": [8] }),
      "MODEL_INVALID",
      "weight `encoder.layers.2.norm_feed_forward1.weight` is missing. The checkpoint is incomplete.",
    ],
    [
      "an option that is not known",
      changed(small, block(small, "encoder", { magic_scale: 2 })),
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `encoder.magic_scale` is 2, an option that is not known here and could change the result.",
    ],
    [
      "a class that is not known",
      changed(small, { target: "my.models.MyCTCModel" }),
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `target` is MyCTCModel, a class that is not known here. Supported are EncDecCTCModel, EncDecCTCModelBPE, EncDecRNNTModel, EncDecRNNTBPEModel, EncDecRNNTBPEEOUModel, EncDecHybridRNNTCTCModel, EncDecHybridRNNTCTCBPEModel, EncDecHybridRNNTCTCBPEEOUModel, EncDecClassificationModel, EncDecFrameClassificationModel.",
    ],
    [
      "an encoder that is not known",
      changed(small, block(small, "encoder", { _target_: "x.ZipEncoder" })),
      "MODEL_UNSUPPORTED",
      "model_config.yaml: `encoder` is a ZipEncoder, supported are ConformerEncoder and ConvASREncoder.",
    ],
    ["no encoder", changed(small, { encoder: null }), "MODEL_INVALID", "model_config.yaml: `encoder` is missing."],
  ])("refuses %s", (_, synthetic, code, message) => {
    expect(() => describeIt(synthetic)).toThrow(expect.objectContaining({ code, message }));
  });

  test("passes over unknown options that are switched off", () => {
    const off = block(small, "encoder", { magic: null, wonder: false, dropout: 0.5 });
    expect(describeIt(changed(small, off))).toEqual(describeIt(small));
  });

  test("refuses adapters, prompts and other additions by their tensors", () => {
    const refusalOf = (name: string) => () => describeIt(changed(small, {}, { [name]: [1] }));
    const sentences: [string, string][] = [
      ["encoder.layers.0.adapter_layer.a.module.0.weight", "this model is extended by adapters"],
      ["prompt_kernel.0.weight", "this model is conditioned on a prompt"],
      ["lang_id_prompt_kernel.0.weight", "this model is conditioned on a prompt"],
      ["bg_spk_kernels.0.0.weight", "this model is a multi-talker model"],
      ["transf_decoder._decoder.layers.0.x", "this model is an attention encoder-decoder (Canary)"],
      ["joint.blank_pred.2.weight", "this model is a hybrid autoregressive transducer (HAT)"],
      ["decoder.lstm_layer.weight_ih_l0", "this model is a CTC model with a recurrent head (LSTMDecoder)"],
    ];
    for (const [name, sentence] of sentences) {
      expect(refusalOf(name)).toThrow(expect.objectContaining({ code: "MODEL_UNSUPPORTED" }));
      expect(refusalOf(name)).toThrow(`weight \`${name}\`: ${sentence}`);
    }
  });

  test.each([
    ["encoder", "RNNEncoder", "this model is built on a recurrent encoder."],
    ["encoder", "TransformerEncoder", "this model is built on a Transformer that is no Conformer."],
    [
      "encoder",
      "ParallelConvASREncoder",
      "this model is built on parallel convolution towers (ParallelConvASREncoder).",
    ],
    ["encoder", "ConformerEncoderAdapter", "this model is extended by adapters"],
    ["decoder", "LSTMDecoder", "this model is a CTC model with a recurrent head (LSTMDecoder)."],
  ])("refuses a model whose %s is a %s", (key, target, sentence) => {
    const other = changed(small, block(small, key, { _target_: `nemo.x.${target}` }));
    expect(() => describeIt(other)).toThrow(`\`${key}\` is a ${target}: ${sentence}`);
  });

  test("keeps messages short whatever the names are", () => {
    const long = changed(small, {}, { [`encoder.${"x".repeat(100_000)}`]: [1] });
    expect(() => describeIt(long)).toThrow(/^weight `encoder\.x{900,}…$/);
  });

  const golden = new URL("../../../../../shared/golden/", import.meta.url);
  test.skipIf(!existsSync(golden))("describes every golden model", async () => {
    const models = readdirSync(golden).filter((name) => existsSync(new URL(`${name}/model.nemo`, golden)));
    expect(models.length).toBeGreaterThan(10);
    for (const name of models) {
      const source = memorySource(readFileSync(new URL(`${name}/model.nemo`, golden)), name);
      const { config, tensors, artifactNames } = await openNemo(source);
      expect(describeModel(config, tensors, artifactNames).features.numMels).toBeGreaterThan(0);
    }
  });

  test("is not misled by a preprocessor without tensors", () => {
    const frontEnd = { config: melFrontEnd().config, shapes: {} };
    expect(describeIt(ctcModel(conformer(), frontEnd))).toEqual(describeIt(small));
  });
});
