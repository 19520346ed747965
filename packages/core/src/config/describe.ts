import type { TensorInfo } from "../checkpoint/checkpoint.ts";
import {
  type ConfigBlock,
  childBlock,
  hasKey,
  integerOr,
  invalid,
  modelError,
  rawValue,
  requiredBlock,
  rootBlock,
  targetOf,
  textOr,
} from "./block.ts";
import { describeClassifier } from "./classifier.ts";
import { describeConformer } from "./conformer.ts";
import { describeConvAsr } from "./convasr.ts";
import { describeCtc } from "./ctc.ts";
import { describeDecoding } from "./decoding.ts";
import { describeFeatures, featureRows } from "./features.ts";
import { refuseKnownFamilies } from "./refusals.ts";
import type { EncoderSpec, FeatureSpec, HeadsSpec, ModelSpec } from "./spec.ts";
import { hasPrefix, rejectUnknownTensors, type TensorTable, tensorTable } from "./tensor-table.ts";
import { describeTokenizer, listVocabularies } from "./tokenizer.ts";
import { describeTransducer } from "./transducer.ts";

/** What a supported class of NeMo is. */
type ModelKind = "ctc" | "transducer" | "hybrid" | "classifier" | "frame-classifier";

interface ModelClass {
  readonly kind: ModelKind;
  readonly isSubword?: boolean;
}

/** NeMo's classes that are built. The last are names that archives of 2020 carry. */
const MODEL_CLASSES: Readonly<Record<string, ModelClass>> = {
  EncDecCTCModel: { kind: "ctc" },
  EncDecCTCModelBPE: { kind: "ctc", isSubword: true },
  EncDecRNNTModel: { kind: "transducer" },
  EncDecRNNTBPEModel: { kind: "transducer", isSubword: true },
  EncDecRNNTBPEEOUModel: { kind: "transducer", isSubword: true },
  EncDecHybridRNNTCTCModel: { kind: "hybrid" },
  EncDecHybridRNNTCTCBPEModel: { kind: "hybrid", isSubword: true },
  EncDecHybridRNNTCTCBPEEOUModel: { kind: "hybrid", isSubword: true },
  EncDecClassificationModel: { kind: "classifier" },
  EncDecFrameClassificationModel: { kind: "frame-classifier" },
  JasperNet: { kind: "ctc" },
  QuartzNet: { kind: "ctc" },
  JasperNetBPE: { kind: "ctc", isSubword: true },
  QuartzNetBPE: { kind: "ctc", isSubword: true },
  MatchboxNet: { kind: "classifier" },
};

/**
 * Makes the one typed description of a model from its configuration and the shapes of its tensors; tensors win, and what
 * the configuration leaves out has NeMo's defaults.
 *
 * Nothing is passed over in silence: every tensor belongs to a part that is described, and every option of the parts is
 * read, known to be inert, or refused.
 *
 * @param artifactNames members of the archive, where they are known: a tokenizer's file is then looked for at once
 * @throws SpeechError `MODEL_UNSUPPORTED` for models and options that are not built, named with what they are;
 *   `MODEL_INVALID` where configuration and tensors contradict each other; `LIMIT_EXCEEDED`
 */
export function describeModel(
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, TensorInfo>,
  artifactNames?: readonly string[],
): ModelSpec {
  const root = modelBlock(config);
  const table = tensorTable(tensors);
  const className = textOr(root, "target", undefined)?.split(".").at(-1) ?? guessClass(root, table);
  refuseKnownFamilies(root, className, table);
  const modelClass = Object.hasOwn(MODEL_CLASSES, className) ? MODEL_CLASSES[className] : undefined;
  if (modelClass === undefined) {
    const known = Object.keys(MODEL_CLASSES).filter((name) => name.startsWith("EncDec"));
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`target\` is ${className}, a class that is not known here. Supported are ${known.join(", ")}.`,
    );
  }
  const features = describeFeatures(requiredBlock(root, "preprocessor"), table);
  const sampleRateHz = integerOr(root, "sample_rate", features.sampleRateHz, 1) ?? features.sampleRateHz;
  if (sampleRateHz !== features.sampleRateHz) {
    throw invalid(`\`sample_rate\` is ${sampleRateHz}, but \`preprocessor.sample_rate\` is ${features.sampleRateHz}.`);
  }
  const encoder = describeEncoder(root, table, features);
  const heads = describeHeads(root, table, encoder, modelClass.kind);
  const spec: ModelSpec = {
    className,
    nemoVersion: textOr(root, "nemo_version", undefined),
    sampleRateHz,
    features,
    encoder,
    heads,
    tokenizer: heads.classifier
      ? undefined
      : describeTokenizer(root, vocabularySize(heads), modelClass.isSubword === true),
    decoding: describeDecoding(root),
  };
  rejectUnknownTensors(table);
  if (artifactNames) checkArtifacts(spec, artifactNames);
  return spec;
}

/** Some tools save the whole training configuration, with the model's under `model`. */
function modelBlock(config: Readonly<Record<string, unknown>>): ConfigBlock {
  const root = rootBlock(config);
  return (hasKey(root, "encoder") ? undefined : childBlock({ ...root, path: "" }, "model")) ?? root;
}

/** Archives before 1.0 may lack `target`. */
function guessClass(root: ConfigBlock, table: TensorTable): string {
  const suffix = rawValue(root, "tokenizer") ? "BPE" : "";
  if (hasPrefix(table, "joint.")) {
    return hasPrefix(table, "ctc_decoder.") ? `EncDecHybridRNNTCTC${suffix}Model` : `EncDecRNNT${suffix}Model`;
  }
  if (hasPrefix(table, "decoder.layer0.")) return "EncDecFrameClassificationModel";
  const head = table.tensors.get("decoder.decoder_layers.0.weight");
  return head?.dims.length === 2 ? "EncDecClassificationModel" : `EncDecCTCModel${suffix}`;
}

function describeEncoder(root: ConfigBlock, table: TensorTable, features: FeatureSpec): EncoderSpec {
  const block = requiredBlock(root, "encoder");
  const rows = featureRows(features);
  checkRows(requiredBlock(root, "preprocessor"), block, rows);
  const target = targetOf(block);
  switch (target) {
    case "ConformerEncoder":
      return describeConformer(block, table, rows);
    case "ConvASREncoder":
      return describeConvAsr(block, table, rows);
    default:
      throw modelError(
        "MODEL_UNSUPPORTED",
        `model_config.yaml: \`encoder\` is a ${target ?? "module without a class"}, supported are ConformerEncoder and ConvASREncoder.`,
      );
  }
}

/** Front end and encoder have to agree in the configuration; where they do, the tensors decide. */
function checkRows(preprocessor: ConfigBlock, encoder: ConfigBlock, rows: number): void {
  const key = hasKey(preprocessor, "n_mfcc") ? "n_mfcc" : "features";
  const declared = integerOr(preprocessor, key, undefined, 1);
  const splicing = integerOr(preprocessor, "frame_splicing", 1, 1) ?? 1;
  const featIn = integerOr(encoder, "feat_in", undefined, -1);
  if (featIn === undefined || featIn < 1) return;
  const taken = featIn * (integerOr(encoder, "frame_splicing", 1, 1) ?? 1);
  const given = declared === undefined ? rows : declared * splicing;
  if (taken === given) return;
  const what = declared === undefined ? `the front end gives ${rows} rows` : `\`preprocessor.${key}\` is ${given}`;
  throw invalid(`${what}, but \`encoder.feat_in\` is ${taken}.`);
}

function describeHeads(root: ConfigBlock, table: TensorTable, encoder: EncoderSpec, kind: ModelKind): HeadsSpec {
  const size = encoder.kind === "conformer" ? (encoder.outSize ?? encoder.modelSize) : encoder.outSize;
  if (kind === "classifier" || kind === "frame-classifier") {
    return { classifier: describeClassifier(root, table, size, kind === "frame-classifier") };
  }
  if (kind === "ctc") return { ctc: describeCtc(root, table, "decoder.", size) };
  // A block `aux_ctc` says little: some transducers carry it without the head's weights.
  const hasCtc = hasPrefix(table, "ctc_decoder.");
  const aux = hasCtc ? (childBlock(root, "aux_ctc") ?? rootBlock({})) : undefined;
  const ctc = aux && describeCtc(aux, table, "ctc_decoder.", size);
  const numLabels = ctc ? ctc.numClasses - 1 : listVocabularies(root)[0]?.length;
  const transducer = describeTransducer(root, table, size, numLabels);
  if (ctc && ctc.numClasses !== transducer.vocabularySize + 1) {
    throw invalid(
      `the CTC head has ${ctc.numClasses} classes, but the transducer has ${transducer.vocabularySize} and blank.`,
    );
  }
  return ctc ? { ctc, transducer } : { transducer };
}

function vocabularySize({ ctc, transducer }: HeadsSpec): number {
  return transducer?.vocabularySize ?? (ctc?.numClasses ?? 1) - 1;
}

/** A tokenizer's file stands in the archive under its own name, or under any name that ends in it. */
function checkArtifacts(spec: ModelSpec, names: readonly string[]): void {
  const { tokenizer } = spec;
  const parts = tokenizer?.kind === "aggregate" ? tokenizer.parts.map((part) => part.tokenizer) : [tokenizer];
  for (const part of parts) {
    if (part?.kind !== "sentencepiece" && part?.kind !== "wordpiece") continue;
    if (part.kind === "sentencepiece" && part.vocabulary.length > 0) continue;
    const name =
      part.artifact
        .replace(/^nemo:/, "")
        .split("/")
        .at(-1) ?? "";
    if (names.some((member) => member === name || member.endsWith(`/${name}`))) continue;
    throw modelError(
      "MODEL_INVALID",
      `model_config.yaml: the tokenizer's file \`${part.artifact}\` is not in the archive, which has ${names.join(", ") || "no other files"}.`,
    );
  }
}
