import type { GraphSession, Runtime } from "../runtime.ts";
import { parseTokenizer, tokenizerFromTokens } from "../tokenizer/text-format.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { FeatureBatch } from "./acoustic.ts";
import { type ModelFolder, readFeatures, readText } from "./folder.ts";
import { encodeForeign, type ForeignNetworks, shapesOf } from "./foreign-acoustic.ts";
import { openForeignEncoder } from "./foreign-encoder.ts";
import { type ForeignFacts, gatherFacts, positiveInteger, readOnnxAsrConfig } from "./foreign-facts.ts";
import { type ForeignFiles, findForeignFiles, findTokensFile, type TransducerFiles } from "./foreign-files.ts";
import type { NamedSession } from "./foreign-ports.ts";
import { describeForeign } from "./foreign-spec.ts";
import { type ForeignTransducer, openFusedTransducer, openSeparateTransducer } from "./foreign-transducer.ts";
import type { Head } from "./head-decoder.ts";
import { type Recognizer, recognizerOf } from "./recognizer.ts";

/** A folder of graphs that another runtime's tools exported. */
export interface ForeignModel {
  readonly folder: ModelFolder;
  /** Names of all files of the folder. */
  readonly names: readonly string[];
  /** The graph the user named, where it was a graph and not the folder. */
  readonly graph: string | undefined;
}

/**
 * Loads a model in the layout of NeMo's own `export`, of sherpa-onnx or of onnx-asr, or a bare graph with its tokens
 * beside it. What the files do not tell (they never tell everything) is as in NeMo's recipes for Conformers, unless
 * NeMo's `model_config.yaml` lies beside them.
 * @throws SpeechError `NOT_FOUND` naming the missing file, `MODEL_UNSUPPORTED` for streaming exports and models of other
 *   families, `MODEL_INVALID` where files contradict each other, `RUNTIME_FAILED` when the runtime refuses a graph
 */
export async function openForeignRecognizer(
  model: ForeignModel,
  runtime: Runtime,
  numThreads = 1,
): Promise<Recognizer> {
  const { folder, names } = model;
  const config = await readOnnxAsrConfig(folder, names);
  const files = findForeignFiles(folder.name, names, model.graph);
  const tokenizer = await readTokenizer(folder, findTokensFile(folder.name, names, graphsOf(files)));
  const sessions: GraphSession[] = [];
  const load = async (name: string): Promise<NamedSession> => {
    const session = await runtime.load(folder.graph(name), { numThreads });
    sessions.push(session);
    return { where: `${folder.name} › ${name}`, session };
  };
  const close = async () => {
    await Promise.all(sessions.map((session) => session.close()));
  };
  try {
    const first = await load(graphsOf(files)[0]);
    const facts = await gatherFacts(folder, names, first, config);
    const networks = await openNetworks(files, first, load, facts);
    const spec = describeForeign(facts, shapesOf(folder.name, networks), tokenizer);
    const acoustic = {
      spec,
      encode: (batch: FeatureBatch, _context?: readonly number[], head?: Head) => encodeForeign(networks, batch, head),
      networks: networks.transducer?.networks,
      close,
    };
    const name = model.graph === undefined ? folder.name : `${folder.name} › ${model.graph}`;
    return recognizerOf({ name, tokenizer, featureTensors: await readFeatures(folder), acoustic });
  } catch (error) {
    await close();
    throw error;
  }
}

/** The graphs that hold an encoder; the first is the one whose metadata counts. */
function graphsOf({ ctc, transducer }: ForeignFiles): string[] {
  return [transducer?.encoder, ctc].filter((name) => name !== undefined);
}

async function readTokenizer(folder: ModelFolder, name: string): Promise<Tokenizer> {
  const text = await readText(folder, name);
  const where = `${folder.name} › ${name}`;
  return name === "tokenizer.txt" ? parseTokenizer(text, where) : tokenizerFromTokens(text, where);
}

async function openNetworks(
  { ctc, transducer }: ForeignFiles,
  first: NamedSession,
  load: (name: string) => Promise<NamedSession>,
  { config, metadata }: ForeignFacts,
): Promise<ForeignNetworks> {
  const numMels = config.featuresSize ?? positiveInteger(metadata.feat_dim);
  const encoder = transducer && (await openForeignEncoder(first, "channel-major", numMels));
  const ctcSession = ctc === undefined || transducer === undefined ? first : await load(ctc);
  return {
    ctc: ctc === undefined ? undefined : await openForeignEncoder(ctcSession, "step-major", numMels),
    encoder,
    transducer: transducer && encoder && (await openTransducer(transducer, load, encoder.rowSize)),
  };
}

async function openTransducer(
  files: TransducerFiles,
  load: (name: string) => Promise<NamedSession>,
  encoderSize: number,
): Promise<ForeignTransducer> {
  if (files.kind === "fused") return openFusedTransducer(await load(files.decoderJoint), encoderSize);
  return openSeparateTransducer(await load(files.decoder), await load(files.joiner), encoderSize);
}
