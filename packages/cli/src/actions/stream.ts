import type { SpeechEngine, SpeechStream, StreamOptions } from "@nemo-stt/core";
import type { StreamFlags } from "../commands/stream.ts";
import type { Console } from "../console.ts";
import { printable } from "../messages.ts";
import { endpointOf } from "../stream-options.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { contextNote, latencyNote, type Mode, modeText, nearestMode } from "./latency.ts";
import { openSound, type SoundSource } from "./sound-source.ts";
import { openStreamEngine } from "./stream-engine.ts";
import { createMeter, measuredText, type StreamMeter } from "./stream-meter.ts";
import { createView, jsonView, type StreamView } from "./stream-view.ts";

/** Streams one source of sound and shows what is found as it is found. */
export async function stream(sound: string | undefined, flags: StreamFlags, console: Console): Promise<void> {
  let meter: StreamMeter | undefined;
  const engine = await openStreamEngine(flags, console, (report) => meter?.batch(report));
  const interrupt = listenForInterrupt();
  const view = flags.json ? jsonView(console) : createView(console);
  try {
    const options = streamOptions(engine, flags, console);
    const source = await openSound(sound, flags, engine.sampleRateHz, interrupt.asked);
    if (!source) return;
    const isPaced = flags.realtime === true && source.name !== "mic";
    meter = createMeter(source.audio.sampleRateHz, isPaced || source.isLive);
    try {
      if (flags.json) console.out(JSON.stringify(startEvent(engine.model.name, source, options)));
      await run({
        engine,
        source,
        options,
        view,
        meter,
        interrupt,
        isPaced,
      });
    } finally {
      view.close();
      await source.stop();
    }
    for (const warning of source.audio.warnings) console.err(`${printable(source.name)}: ${warning}`);
    tellEnd(meter, options.mode, interrupt, flags, console);
  } finally {
    interrupt.release();
    await engine.close();
  }
}

/** Options of a stream, and the mode that its finals come from. */
type ChosenOptions = StreamOptions & { readonly mode: Mode };

function streamOptions(engine: SpeechEngine, flags: StreamFlags, console: Console): ChosenOptions {
  const { modes } = engine;
  const { latency, fastAttContext, head } = flags;
  const named = latency === undefined ? undefined : nearestMode(modes, latency);
  const isChosen = named !== undefined || flags.attContext !== undefined;
  const note = named ? latencyNote(modes, named, latency as number) : isChosen ? undefined : contextNote(engine);
  if (note) console.err(note);
  const attContext = named?.attContext ?? flags.attContext ?? modes[0].attContext;
  const endpoint = endpointOf(flags);
  return { attContext, fastAttContext, head, endpoint, mode: { ...modeOf(modes, attContext), attContext } };
}

/** The mode of a context, which may have less to the left than those that are listed; where there is none, `open` says so. */
function modeOf(modes: readonly Mode[], [, right]: readonly number[]): Omit<Mode, "attContext"> {
  return modes.find(({ attContext }) => attContext[1] === right) ?? { chunkSec: 0 };
}

function startEvent(model: string, { name, audio, numStreams }: SoundSource, { mode, fastAttContext }: ChosenOptions) {
  const { format, sampleRateHz } = audio;
  const fast = fastAttContext ? { fastAttContext } : {};
  return { type: "start", name, model, ...mode, ...fast, format, sampleRateHz, numStreams };
}

interface Run {
  readonly engine: SpeechEngine;
  readonly source: SoundSource;
  readonly options: ChosenOptions;
  readonly view: StreamView;
  readonly meter: StreamMeter;
  readonly interrupt: Interrupt;
  /** Whether a recording is played at its own speed. */
  readonly isPaced: boolean;
}

/** Feeds all sound there is, then the end. */
async function run({ engine, source, options, view, meter, interrupt, isPaced }: Run): Promise<void> {
  const { numStreams, audio } = source;
  const { mode, ...streamOptions } = options;
  const streams = await Promise.all(
    Array.from({ length: numStreams }, (_, i) => {
      const channel = numStreams > 1 ? i + 1 : undefined;
      const own = { ...streamOptions, sampleRateHz: audio.sampleRateHz };
      return engine.open(own, (event) => view.show(event, channel));
    }),
  );
  const showStatus = () => view.status(`${modeText(mode)}, ${measuredText(meter.measure())}`);
  const timer = setInterval(showStatus, STATUS_MS);
  timer.unref();
  try {
    for await (const packet of packetsOf(source, interrupt, isPaced)) {
      await feed(streams, packet);
      meter.fed(packet[0].length);
    }
    await Promise.all(streams.map((stream) => stream.finish()));
  } finally {
    clearInterval(timer);
    await Promise.all(streams.map((stream) => stream.close()));
  }
}

const STATUS_MS = 100;

async function feed(streams: readonly SpeechStream[], packet: readonly Float32Array[]): Promise<void> {
  await Promise.all(streams.map((stream, i) => stream.feed(packet[i])));
}

/** As telephones and browsers send them, where a recording is played at its own speed. */
const PACED_PACKET_SEC = 0.02;
/** Short enough that Ctrl-C is heard, where it is not. */
const PACKET_SEC = 0.5;

/** The sound in packets, until it ends or is interrupted. */
async function* packetsOf(
  source: SoundSource,
  interrupt: Interrupt,
  isPaced: boolean,
): AsyncGenerator<readonly Float32Array[]> {
  const { sampleRateHz } = source.audio;
  const size = Math.max(1, Math.round((isPaced ? PACED_PACKET_SEC : PACKET_SEC) * sampleRateHz));
  const started = performance.now();
  let numSamples = 0;
  for await (const block of untilInterrupt(source.audio.blocks(), interrupt)) {
    const chosen = source.choose(block);
    for (let at = 0; at < chosen[0].length && !interrupt.isAsked; at += size) {
      const packet = chosen.map((channel) => channel.subarray(at, at + size));
      numSamples += packet[0].length;
      // A packet is there when its last sample has been spoken.
      if (isPaced) await sleepUntil(started + (numSamples / sampleRateHz) * 1000, interrupt);
      yield packet;
    }
  }
}

async function sleepUntil(time: number, interrupt: Interrupt): Promise<void> {
  const ms = time - performance.now();
  if (ms <= 0) return;
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([slept, interrupt.asked]);
  clearTimeout(timer);
}

/** Blocks until the last, or until an interrupt, which does not wait for the next. */
async function* untilInterrupt(
  blocks: AsyncGenerator<Float32Array[]>,
  interrupt: Interrupt,
): AsyncGenerator<Float32Array[]> {
  const asked = interrupt.asked.then(() => undefined);
  while (!interrupt.isAsked) {
    const reading = blocks.next();
    const next = await Promise.race([reading, asked]);
    if (next === undefined) {
      // What the read ends in when its source is stopped is of no interest any more.
      reading.catch(() => {});
      return;
    }
    if (next.done) return;
    yield next.value;
  }
}

function tellEnd(
  meter: StreamMeter,
  mode: Mode,
  { isAsked: isInterrupted }: Interrupt,
  { json }: StreamFlags,
  console: Console,
): void {
  const measured = meter.measure();
  if (json) console.out(JSON.stringify({ type: "end", ...measured, isInterrupted }));
  else console.err(`${modeText(mode)}, ${measuredText(measured)}${isInterrupted ? ", interrupted" : ""}`);
}
