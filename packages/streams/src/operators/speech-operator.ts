import type { SpeechEngine, StreamOptions } from "@nemo-stt/core";
import { openEngine } from "@nemo-stt/node";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import { Voice, type VoiceText } from "../voice/voice.ts";
import { checkAudio, createOperator, type Operator } from "./operator.ts";
import type { Warn } from "./parameters.ts";
import { StatisticsMeter } from "./statistics.ts";

/** A chunk of sound; extra attributes are allowed and have no part in recognition. */
export interface AudioTuple {
  readonly audioChunk: Uint8Array;
  /** Milliseconds. */
  readonly audioTimestamp: bigint;
}

/** An opened model. */
export interface OpenedEngine {
  readonly engine: SpeechEngine;
  /** The model's blank, where it is known. */
  readonly blankId?: number;
  /** Whoever opened it closes it, with the operator. */
  readonly close?: () => Promise<void>;
}

/** What the recognising operators share besides their parameters. */
export interface SpeechOperatorContext {
  /** An engine that is there already: parameters that name a model are told to have no effect. It stays open. */
  readonly engine?: SpeechEngine & { readonly model?: { readonly blankId: number } };
  /** Opens the model that parameters name, where there is no engine; an engine on all cores unless told. */
  readonly openEngine?: (modelPath: string, tokensPath: string) => Promise<OpenedEngine>;
  readonly clock?: Clock;
  /** Where oddities are told; the console's warnings unless told. */
  readonly warn?: Warn;
  /** Shared by the operators of a pipeline; an own one unless told. */
  readonly statistics?: StatisticsMeter;
}

/** A recognising operator. */
export interface SpeechOperator<O> extends Operator<AudioTuple, O> {
  readonly statistics: StatisticsMeter;
}

/** How an operator's voice is heard. */
export interface SpeechOperatorPlan<O> {
  readonly name: string;
  readonly sampleRateHz: number;
  readonly open: (statistics: StatisticsMeter) => Promise<OpenedEngine>;
  readonly attContext: (engine: SpeechEngine) => readonly number[] | undefined;
  /** The output tuple of a text; nothing where the operator does not tell it. */
  readonly tupleOf: (text: VoiceText) => O | undefined;
}

/** An operator that recognises one voice: sound and marks in; texts, and the marks where they belong, out. */
export function createSpeechOperator<O>(
  plan: SpeechOperatorPlan<O>,
  context: SpeechOperatorContext,
): SpeechOperator<O> {
  const clock = context.clock ?? SYSTEM_CLOCK;
  const statistics = context.statistics ?? new StatisticsMeter(clock);
  let opened: Promise<OpenedEngine> | undefined;
  let voice: Voice | undefined;
  let emitNow: (item: Item<O>) => void = () => {};

  const onText = (text: VoiceText) => {
    if (text.text !== "") statistics.text(text.isFinal, text.latencyMs);
    const tuple = plan.tupleOf(text);
    if (tuple !== undefined) emitNow(tupleItem(tuple));
  };
  const openVoice = async (): Promise<Voice> => {
    opened ??= plan.open(statistics);
    const { engine } = await opened;
    const attContext = plan.attContext(engine);
    const stream: StreamOptions = attContext ? { attContext } : {};
    const format = { encoding: "s16le", sampleRateHz: plan.sampleRateHz, numChannels: 1 } as const;
    return new Voice({ engine, format, stream, clock, name: plan.name, onText });
  };
  const endWindow = async () => {
    if (voice) await statistics.time("recognition", () => (voice as Voice).endWindow());
  };

  const operator = createOperator<AudioTuple, O>(plan.name, {
    async take(item, emit) {
      emitNow = emit;
      if (item.kind !== "tuple") {
        await endWindow();
        emit(item.kind === "window" ? WINDOW_MARK : FINAL_MARK);
        return;
      }
      const { audioChunk, audioTimestamp } = item.tuple;
      checkAudio(plan.name, "audioChunk", audioChunk, audioTimestamp);
      voice ??= await openVoice();
      const current = voice;
      const before = current.heardSec;
      await statistics.time("recognition", () => current.feed(audioChunk, Number(audioTimestamp)));
      statistics.chunk((current.heardSec - before) * 1000);
    },
    async end(emit) {
      emitNow = emit;
      await endWindow();
    },
    async close() {
      await voice?.close();
      await (await opened?.catch(() => undefined))?.close?.();
    },
  });
  return { ...operator, statistics };
}

/** Where the model of an operator comes from. */
export function engineSource(
  operator: string,
  files: {
    readonly model: readonly [name: string, value: string];
    readonly tokens: readonly [name: string, value: string];
  },
  { engine, openEngine: openGiven, warn = console.warn }: SpeechOperatorContext,
): (statistics: StatisticsMeter) => Promise<OpenedEngine> {
  if (engine) {
    warn(
      `${operator}: the parameters ${files.model[0]} and ${files.tokens[0]} have no effect: the engine that was given holds the model.`,
    );
    return async () => ({ engine, ...(engine.model && { blankId: engine.model.blankId }) });
  }
  if (!openGiven) return (statistics) => openOwn(operator, files, warn, statistics);
  return () => openGiven(files.model[1], files.tokens[1]);
}

/** The engine of this machine, with the model that the parameters name; its tokens are the model's own. */
async function openOwn(
  operator: string,
  { model, tokens }: Parameters<typeof engineSource>[1],
  warn: Warn,
  statistics: StatisticsMeter,
): Promise<OpenedEngine> {
  if (model[1] === "")
    throw new RangeError(`${operator}.${model[0]}: expected a model, got an empty text. Name a file.`);
  const engine = await openEngine(model[1], { onBatch: (batch) => statistics.addBatch(batch) });
  warn(`${operator}: the parameter ${tokens[0]} has no effect: ${model[1]} has its own tokens.`);
  return { engine, blankId: engine.model.blankId, close: () => engine.close() };
}
