import type { SpeechEngine } from "@nemo-stt/core";
import type { VoiceText } from "../voice/voice.ts";
import { AUDIO_FORMAT_RATES, NEMO_STT } from "./parameter-tables.ts";
import { type Given, resolveParameters } from "./parameters.ts";
import {
  createSpeechOperator,
  engineSource,
  type SpeechOperator,
  type SpeechOperatorContext,
} from "./speech-operator.ts";

/** The parameters of `NeMoSTT`. */
export type NeMoSTTParameters = Given<typeof NEMO_STT.parameters>;

/** The output of `NeMoSTT`: finals. */
export interface Transcription {
  transcription: string;
  /** Beyond the original: it goes on in the middle of the last word of the tuple before, to be joined without a blank. */
  joinsPrevious: boolean;
}

/**
 * `NeMoSTT`: sound in, finals out as they settle. A window mark flushes the tail, its final comes, then the mark, and the
 * state starts anew; the final mark does the same and ends the stream.
 * @throws TypeError, RangeError for parameters
 */
export function createNeMoSTT(
  parameters: NeMoSTTParameters,
  context: SpeechOperatorContext = {},
): SpeechOperator<Transcription> {
  const { warn = console.warn } = context;
  const values = resolveParameters(NEMO_STT, parameters, warn);
  const { minSpeechDurationMs } = parameters;
  const hasEnough = (text: VoiceText) => minSpeechDurationMs === undefined || speechMs(text) >= minSpeechDurationMs;
  // A rest whose beginning was dropped joins nothing.
  let wasDropped = false;
  const tupleOf = (text: VoiceText): Transcription | undefined => {
    if (!text.isFinal || text.text === "") return undefined;
    const joinsPrevious = text.joinsPrevious && !wasDropped;
    wasDropped = !hasEnough(text);
    return wasDropped ? undefined : { transcription: text.text, joinsPrevious };
  };
  return createSpeechOperator(
    {
      name: NEMO_STT.name,
      sampleRateHz: rateOf(parameters, values.sampleRate),
      open: engineSource(
        NEMO_STT.name,
        { model: ["modelPath", values.modelPath], tokens: ["tokensPath", values.tokensPath] },
        context,
      ),
      attContext: (engine) => contextOf(engine, parameters.attContextLeft, parameters.attContextRight),
      tupleOf,
    },
    context,
  );
}

/** How long the words of a text last. */
const speechMs = ({ words }: VoiceText): number => words.reduce((sum, w) => sum + (w.endSec - w.startSec) * 1000, 0);

function rateOf({ sampleRate, audioFormat }: NeMoSTTParameters, usual: number): number {
  const byFormat = audioFormat && AUDIO_FORMAT_RATES[audioFormat];
  if (sampleRate !== undefined && byFormat !== undefined && sampleRate !== byFormat) {
    throw new RangeError(
      `NeMoSTT.audioFormat: expected one of ${sampleRate} Hz as sampleRate says, got ${audioFormat}. Give one of both.`,
    );
  }
  return sampleRate ?? byFormat ?? usual;
}

/** The latency mode that parameters choose: the model's own default unless the right context is given. */
function contextOf(
  engine: SpeechEngine,
  left: number | undefined,
  right: number | undefined,
): readonly number[] | undefined {
  if (left === undefined && right === undefined) return undefined;
  const modes = engine.modes.map(({ attContext }) => attContext);
  const found = modes.find(
    ([most, ahead]) => (right === undefined || ahead === right) && (left === undefined || (left >= 0 && left <= most)),
  );
  if (found) return left === undefined ? found : [left, ...found.slice(1)];
  const known = modes.map((mode) => mode.join(",")).join(" ");
  throw new RangeError(
    `NeMoSTT.attContextRight: expected one of the model's contexts (${known}), or one with less to the left, got ${left ?? "any"},${right ?? "any"}. Give one of these.`,
  );
}
