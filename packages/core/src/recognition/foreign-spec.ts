import { requiredBlock, rootBlock, textOr } from "../config/block.ts";
import { describeDecoding, describeMaxSymbols } from "../config/decoding.ts";
import { describeFeatures } from "../config/features.ts";
import type {
  DecodingSpec,
  FeatureSpec,
  HeadsSpec,
  ModelSpec,
  Normalization,
  TokenizerSpec,
  TransducerSpec,
} from "../config/spec.ts";
import { tensorTable } from "../config/tensor-table.ts";
import { describeDurations } from "../config/transducer.ts";
import { SpeechError } from "../errors.ts";
import type { Tokenizer, TokenizerData } from "../tokenizer/tokenizer.ts";
import type { ForeignFacts } from "./foreign-facts.ts";

/** What the loaded graphs show of a model. */
export interface ForeignShapes {
  readonly numMels: number;
  readonly outSize: number;
  readonly subsamplingFactor: number;
  /** Classes of the CTC head, blank included. */
  readonly numClasses: number | undefined;
  readonly transducer:
    | { readonly numOutputs: number; readonly numLayers: number; readonly hiddenSize: number }
    | undefined;
}

/**
 * Describes a model from what its graphs show and what stands beside them; where several places tell, our own note comes
 * before NeMo's configuration, that before metadata. What nobody tells is as in NeMo's recipes.
 * @throws SpeechError `MODEL_INVALID` where graphs, tokens and descriptions contradict each other
 */
export function describeForeign(facts: ForeignFacts, shapes: ForeignShapes, tokenizer: Tokenizer): ModelSpec {
  checkVocabulary(facts, shapes, tokenizer);
  const features = foreignFeatures(facts, shapes.numMels);
  const heads: HeadsSpec = {
    ...(shapes.numClasses === undefined ? {} : { ctc: { prefix: "", numClasses: shapes.numClasses, temperature: 1 } }),
    ...(shapes.transducer ? { transducer: foreignTransducer(facts, shapes, tokenizer.size) } : {}),
  };
  return {
    className: className(facts),
    nemoVersion: facts.stored?.nemoVersion,
    sampleRateHz: features.sampleRateHz,
    features,
    encoder: {
      kind: "graph",
      numMels: shapes.numMels,
      outSize: shapes.outSize,
      subsamplingFactor: shapes.subsamplingFactor,
    },
    heads,
    tokenizer: { ...tokenizerSpec(tokenizer.data), size: tokenizer.size },
    decoding: foreignDecoding(facts),
  };
}

function className({ stored, nemo, metadata }: ForeignFacts): string {
  const target = nemo && textOr(nemo, "target", undefined)?.split(".").at(-1);
  return stored?.className ?? target ?? metadata.model_type ?? "a model without a class";
}

function foreignDecoding({ stored, nemo }: ForeignFacts): DecodingSpec {
  return stored?.decoding ?? describeDecoding(nemo ?? rootBlock({}));
}

/** The recipes of NeMo's Conformers: windows of 25 ms every 10 ms, 16 kHz. */
const RECIPE = { sample_rate: 16_000, window_size: 0.025, window_stride: 0.01, window: "hann", n_fft: 512, pad_to: 0 };

function foreignFeatures(facts: ForeignFacts, numMels: number): FeatureSpec {
  const { stored, nemo, where } = facts;
  const described = stored
    ? stored.features
    : nemo && describeFeatures(requiredBlock(nemo, "preprocessor"), tensorTable(new Map()));
  if (!described) {
    const recipe = rootBlock({ ...RECIPE, features: numMels });
    return { ...describeFeatures(recipe, tensorTable(new Map())), normalize: foreignNormalization(facts) };
  }
  const rows = described.kind === "mfcc" ? described.numMfcc : described.numMels * described.frameSplicing;
  if (rows === numMels) return described;
  throw new SpeechError(
    "MODEL_INVALID",
    `${where}: expected ${rows} features from the model's description, got a graph of ${numMels}. The files belong to different models.`,
  );
}

/**
 * As sherpa-onnx reads its metadata: `NA` and nothing at all mean none. Graphs without its metadata are taken to be
 * normalised per feature, as all of NeMo's offline models are.
 */
function foreignNormalization({ metadata, where }: ForeignFacts): Normalization {
  if (metadata.vocab_size === undefined && metadata.normalize_type === undefined) return { kind: "per_feature" };
  const type = metadata.normalize_type ?? "";
  if (type === "per_feature" || type === "all_features") return { kind: type };
  if (type === "" || type === "NA" || type === "none") return { kind: "none" };
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${where}: expected \`normalize_type\` per_feature, all_features, NA or nothing, got ${JSON.stringify(type)}. Export the model again.`,
  );
}

/** As far as graphs show it: how their insides are made is not known and not needed. */
function foreignTransducer(facts: ForeignFacts, shapes: ForeignShapes, vocabularySize: number): TransducerSpec {
  const { numOutputs, numLayers, hiddenSize } = shapes.transducer as NonNullable<ForeignShapes["transducer"]>;
  const durations = foreignDurations(facts, numOutputs - vocabularySize - 1, vocabularySize);
  return {
    kind: durations.length > 0 ? "tdt" : "rnnt",
    vocabularySize,
    durations,
    prediction: {
      kind: "lstm",
      numLayers,
      hiddenSize,
      embeddingSize: hiddenSize,
      projectionSize: undefined,
      hasBlankRow: true,
    },
    joint: { hiddenSize: shapes.outSize, activation: "relu", outputPrefix: "", numOutputs },
    maxSymbols: foreignMaxSymbols(facts),
  };
}

/** Published models have five durations, 0 to 4; more outputs than this are tokens that the list does not have. */
const MAX_UNTOLD_DURATIONS = 16;

function foreignDurations(facts: ForeignFacts, numExtra: number, vocabularySize: number): readonly number[] {
  const { stored, nemo, config, where } = facts;
  const told = stored?.transducer?.durations ?? (nemo && numExtra > 0 ? describeDurations(nemo, numExtra) : undefined);
  const isTold = told !== undefined && told.length === numExtra;
  const isRnnt = config.modelType === "nemo-conformer-rnnt";
  const isPlausible = numExtra >= 0 && numExtra <= (isRnnt ? 0 : MAX_UNTOLD_DURATIONS);
  if (isTold || (told === undefined && isPlausible)) return told ?? Array.from({ length: numExtra }, (_, i) => i);
  throw new SpeechError(
    "MODEL_INVALID",
    `${where}: expected a joint network of ${vocabularySize + 1} outputs from ${vocabularySize} tokens and blank${isRnnt ? "" : ", or up to 16 durations more"}, got ${numExtra + vocabularySize + 1}. The list of tokens belongs to another model.`,
  );
}

function foreignMaxSymbols({ stored, nemo, config }: ForeignFacts): number | undefined {
  if (stored) return stored.transducer?.maxSymbols;
  return nemo ? describeMaxSymbols(nemo) : (config.maxTokensPerStep ?? 10);
}

function checkVocabulary({ metadata, where }: ForeignFacts, { numClasses }: ForeignShapes, tokenizer: Tokenizer): void {
  const told = metadata.vocab_size === undefined ? undefined : Number.parseInt(metadata.vocab_size, 10);
  for (const expected of [told, numClasses === undefined ? undefined : numClasses - 1]) {
    if (expected === undefined || expected === tokenizer.size) continue;
    throw new SpeechError(
      "MODEL_INVALID",
      `${where}: expected ${expected} tokens and blank, got a list of ${tokenizer.size}. The list of tokens belongs to another model, or blank is not its last.`,
    );
  }
}

function tokenizerSpec(data: TokenizerData): TokenizerSpec {
  switch (data.kind) {
    case "characters":
      return { kind: "characters", labels: data.pieces };
    case "wordpiece":
      return { kind: "wordpiece", artifact: "", specialTokens: data.special };
    case "sentencepiece":
      return { kind: "sentencepiece", artifact: "", vocabulary: data.pieces };
    case "aggregate":
      return {
        kind: "aggregate",
        parts: data.parts.map((part) => ({ lang: part.lang, tokenizer: tokenizerSpec(part.data) })),
      };
  }
}
