import type { TensorInfo } from "../../src/checkpoint/checkpoint.ts";
import { ASR, type conformer, layer, type Mapping, melFrontEnd, type Shapes, tensorMap } from "./synthetic.ts";

/** A small model as NeMo would save it: its configuration and the names and shapes of its tensors, no weights. */
export interface Synthetic {
  readonly config: Record<string, unknown>;
  readonly tensors: Map<string, TensorInfo>;
}

// ---- heads ----------------------------------------------------------------------------------------------------------

export function ctcHead(
  size: number,
  vocabulary: readonly string[],
  prefix = "decoder",
): { config: Mapping; shapes: Shapes } {
  const numClasses = vocabulary.length;
  return {
    config: { _target_: `${ASR}.modules.ConvASRDecoder`, feat_in: size, num_classes: numClasses, vocabulary },
    shapes: layer(`${prefix}.decoder_layers.0`, [numClasses + 1, size, 1]),
  };
}

/** Options of the transducer's networks. */
export interface TransducerOptions {
  readonly layers?: number;
  readonly hidden?: number;
  readonly durations?: readonly number[];
  readonly rnnHidden?: number;
  readonly contextSize?: number;
  readonly hasBlankRow?: boolean;
  readonly dropout?: number;
}

export function transducer(
  size: number,
  vocabulary: readonly string[],
  {
    layers = 1,
    hidden = 6,
    durations = [],
    rnnHidden,
    contextSize,
    hasBlankRow = true,
    dropout = 0.2,
  }: TransducerOptions = {},
): { config: Mapping; shapes: Shapes } {
  const numLabels = vocabulary.length;
  const shapes: Shapes = {};
  const decoder: Mapping = { _target_: `${ASR}.modules.RNNTDecoder`, vocab_size: numLabels, normalization_mode: null };
  if (contextSize !== undefined) {
    decoder._target_ = `${ASR}.modules.StatelessTransducerDecoder`;
    decoder.context_size = contextSize;
    decoder.prednet = { pred_hidden: hidden, dropout: 0.2 };
    const small = Math.floor(Math.floor(hidden / 2) / contextSize);
    for (let i = 0; i < contextSize; i++) {
      const width = i === 0 ? hidden - small * (contextSize - 1) : small;
      shapes[`decoder.prediction.embeds.${i}.weight`] = [numLabels + 1, width];
    }
  } else {
    decoder.random_state_sampling = false;
    decoder.blank_as_pad = hasBlankRow;
    decoder.prednet = { pred_hidden: hidden, pred_rnn_layers: layers, t_max: null, dropout: 0.2 };
    if (rnnHidden) (decoder.prednet as Mapping).rnn_hidden_size = rnnHidden;
    shapes["decoder.prediction.embed.weight"] = [numLabels + (hasBlankRow ? 1 : 0), hidden];
    const cell = rnnHidden ?? hidden;
    for (let i = 0; i < layers; i++) {
      const name = (part: string): string => `decoder.prediction.dec_rnn.lstm.${part}_l${i}`;
      shapes[name("weight_ih")] = [4 * cell, hidden];
      shapes[name("weight_hh")] = [4 * cell, hidden];
      shapes[name("bias_ih")] = [4 * cell];
      shapes[name("bias_hh")] = [4 * cell];
      if (rnnHidden) shapes[name("weight_hr")] = [hidden, rnnHidden];
    }
  }
  Object.assign(shapes, layer("joint.pred", [hidden, hidden]), layer("joint.enc", [hidden, size]));
  const output = `joint.joint_net.${dropout > 0 ? 2 : 1}`;
  Object.assign(shapes, layer(output, [numLabels + 1 + durations.length, hidden]));
  const jointnet = { joint_hidden: hidden, activation: "relu", dropout, encoder_hidden: size, pred_hidden: hidden };
  const isTdt = durations.length > 0;
  return {
    config: {
      model_defaults: { enc_hidden: size, pred_hidden: hidden, joint_hidden: hidden },
      decoder,
      joint: {
        _target_: `${ASR}.modules.RNNTJoint`,
        log_softmax: null,
        fuse_loss_wer: false,
        num_classes: numLabels,
        vocabulary,
        jointnet,
        ...(isTdt ? { num_extra_outputs: durations.length } : {}),
      },
      decoding: { strategy: "greedy_batch", greedy: { max_symbols: 10 } },
      loss: isTdt ? { loss_name: "tdt", tdt_kwargs: { durations } } : { loss_name: "default" },
    },
    shapes,
  };
}

// ---- models ---------------------------------------------------------------------------------------------------------

export const LETTERS = [" ", ..."abcdefghijklmnopqrstuvwxyz", "'"];
export const PIECES = ["<unk>", "▁the", "▁a", "s", "t", "ing"];
export const BPE = { dir: null, type: "bpe", model_path: "nemo:0123_tokenizer.model" };

interface Part {
  readonly config: Mapping;
  readonly shapes: Shapes;
}

export function model(className: string, frontEnd: Part, encoder: Part, heads: Part, rest: Mapping = {}): Synthetic {
  const config = { target: `${ASR}.models.x.${className}`, nemo_version: "2.0.0", sample_rate: 16000, ...rest };
  return {
    config: { ...config, preprocessor: frontEnd.config, encoder: encoder.config, ...heads.config },
    tensors: tensorMap({ ...frontEnd.shapes, ...encoder.shapes, ...heads.shapes }),
  };
}

type Encoder = ReturnType<typeof conformer>;

export function ctcModel(encoder: Encoder, frontEnd: Part = melFrontEnd(), rest: Mapping = {}): Synthetic {
  const head = ctcHead(encoder.size, PIECES);
  const heads = {
    config: { decoder: head.config, tokenizer: BPE, decoding: { strategy: "greedy" } },
    shapes: head.shapes,
  };
  return model("EncDecCTCModelBPE", frontEnd, encoder, heads, rest);
}

export function charModel(
  encoder: Encoder,
  frontEnd: Part = melFrontEnd(),
  labels: readonly string[] = LETTERS,
): Synthetic {
  const head = ctcHead(encoder.size, labels);
  return model("EncDecCTCModel", frontEnd, encoder, { config: { decoder: head.config, labels }, shapes: head.shapes });
}

export function rnntModel(
  encoder: Encoder,
  options: TransducerOptions = {},
  frontEnd: Part = melFrontEnd(),
  className = "EncDecRNNTBPEModel",
): Synthetic {
  const heads = transducer(encoder.size, PIECES, options);
  return model(className, frontEnd, encoder, heads, { tokenizer: BPE, labels: PIECES });
}

export function hybridModel(
  encoder: Encoder,
  options: TransducerOptions = {},
  frontEnd: Part = melFrontEnd(),
): Synthetic {
  const heads = transducer(encoder.size, PIECES, options);
  const aux = ctcHead(encoder.size, PIECES, "ctc_decoder");
  return model(
    "EncDecHybridRNNTCTCBPEModel",
    frontEnd,
    encoder,
    { config: heads.config, shapes: { ...heads.shapes, ...aux.shapes } },
    {
      tokenizer: BPE,
      labels: PIECES,
      aux_ctc: { ctc_loss_weight: 0.3, decoder: aux.config, decoding: { strategy: "greedy" } },
    },
  );
}

export function classifier(encoder: Encoder, frontEnd: Part, labels: readonly string[], isFrame = false): Synthetic {
  const numClasses = labels.length;
  const decoder = isFrame
    ? {
        _target_: "nemo.collections.common.parts.MultiLayerPerceptron",
        ...{
          hidden_size: encoder.size,
          num_classes: numClasses,
          num_layers: 1,
          activation: "relu",
          log_softmax: false,
        },
      }
    : {
        _target_: `${ASR}.modules.ConvASRDecoderClassification`,
        ...{ feat_in: encoder.size, return_logits: true, pooling_type: "avg", num_classes: numClasses },
      };
  const shapes = layer(isFrame ? "decoder.layer0" : "decoder.decoder_layers.0", [numClasses, encoder.size]);
  const className = isFrame ? "EncDecFrameClassificationModel" : "EncDecClassificationModel";
  return model(className, frontEnd, encoder, { config: { decoder }, shapes }, { labels });
}
