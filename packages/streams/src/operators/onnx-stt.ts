import { ONNX_STT } from "./parameter-tables.ts";
import { type Given, resolveParameters } from "./parameters.ts";
import {
  createSpeechOperator,
  engineSource,
  type SpeechOperator,
  type SpeechOperatorContext,
} from "./speech-operator.ts";

/** The parameters of `OnnxSTT`. */
export type OnnxSTTParameters = Given<typeof ONNX_STT.parameters>;

/** The output of `OnnxSTT`: interim texts (the whole utterance so far) and finals. */
export interface OnnxText {
  text: string;
  isFinal: boolean;
  confidence: number;
  /** Beyond the original: a final that goes on in the middle of the last word of the final before, to be joined without a blank. */
  joinsPrevious: boolean;
}

/**
 * `OnnxSTT`: sound in, interim texts and finals out; marks as `NeMoSTT` has them.
 * @throws TypeError, RangeError for parameters
 */
export function createOnnxSTT(
  parameters: OnnxSTTParameters,
  context: SpeechOperatorContext = {},
): SpeechOperator<OnnxText> {
  const { warn = console.warn } = context;
  const values = resolveParameters(ONNX_STT, parameters, warn);
  const open = engineSource(
    ONNX_STT.name,
    { model: ["encoderModel", values.encoderModel], tokens: ["vocabFile", values.vocabFile] },
    context,
  );
  // An interim of which nothing remained is taken back by an empty final; silence alone says nothing.
  let hadInterim = false;
  return createSpeechOperator(
    {
      name: ONNX_STT.name,
      sampleRateHz: values.sampleRate,
      async open(statistics) {
        const opened = await open(statistics);
        const { blankId } = parameters;
        if (blankId !== undefined && opened.blankId !== undefined && blankId !== opened.blankId)
          warn(
            `OnnxSTT: the parameter blankId is ${blankId}, but the model's blank is ${opened.blankId}; the model's is used.`,
          );
        return opened;
      },
      attContext: () => undefined,
      tupleOf({ text, isFinal, confidence, joinsPrevious }) {
        const isTold = text !== "" || (isFinal && hadInterim);
        hadInterim = !isFinal;
        return isTold ? { text, isFinal, confidence, joinsPrevious } : undefined;
      },
    },
    context,
  );
}
