import { fstatSync, type Stats, statSync } from "node:fs";
import { mixChannels } from "@nemo-stt/core";
import { type Audio, openAudio, openLiveAudio, openMicrophone } from "@nemo-stt/node";
import { type RawFlags, rawFormatOf } from "../options.ts";
import { openNamedPipe } from "./named-pipe.ts";
import { channelChoice } from "./recordings.ts";

/** Sound that is streamed: what is asked of it, and how to end it when it waits for more. */
export interface SoundSource {
  /** What messages and events call it. */
  readonly name: string;
  readonly audio: Audio;
  /** True where sound comes when it is spoken, or as something else gives it. */
  readonly isLive: boolean;
  /** The streams of a block: one for the mix or for one channel, or one each. */
  choose(block: readonly Float32Array[]): readonly Float32Array[];
  readonly numStreams: number;
  /** Ends it at once, a read that waits included; idempotent. */
  stop(): Promise<void>;
}

/** What is streamed where nothing is named: what is piped in, or the microphone. */
const defaultSound = (): string => (process.stdin.isTTY ? "mic" : "-");

/**
 * Opens a recording, standard input or the microphone; undefined where it is interrupted before any sound has come.
 * @throws SpeechError
 */
export async function openSound(
  sound: string = defaultSound(),
  { channels, ...flags }: RawFlags & { readonly channels: "mix" | "split" | number },
  sampleRateHz: number,
  interrupted: Promise<void>,
): Promise<SoundSource | undefined> {
  const { opening, end } = await begin(sound, rawFormatOf(flags), sampleRateHz);
  let audio: Audio | undefined;
  const stop = async () => {
    await end();
    await audio?.close();
  };
  try {
    // What an opening ends in that was not waited for is of no interest.
    opening.catch(() => {});
    audio = await Promise.race([opening, interrupted.then(() => undefined)]);
    if (audio) return sourceOf(sound, audio, channelChoice(audio, channels), stop);
  } catch (error) {
    await stop();
    throw error;
  }
  await stop();
  return undefined;
}

function sourceOf(
  sound: string,
  audio: Audio,
  choice: "mix" | "split" | number,
  stop: SoundSource["stop"],
): SoundSource {
  return {
    name: sound === "-" ? "stdin" : sound,
    audio,
    isLive: sound === "mic" || (sound === "-" ? !isFile(process.stdin.fd) : isPipe(sound)),
    numStreams: choice === "split" ? audio.numChannels : 1,
    choose: (block) => (choice === "split" ? block : [choice === "mix" ? mixChannels(block) : block[choice]]),
    stop,
  };
}

/** True for standard input that is a file (`< FILE`): all of it is there already. */
const isFile = (fd: number): boolean => statOr(() => fstatSync(fd))?.isFile() ?? false;

/** True for a named pipe, a device or a socket (`/dev/stdin`, `<(…)`): it is read once, as it comes. */
function isPipe(path: string): boolean {
  const stat = statOr(() => statSync(path));
  return stat !== undefined && !stat.isFile() && !stat.isDirectory();
}

function statOr(read: () => Stats): Stats | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Begins to open sound, and how to end what the opening waits for. */
async function begin(
  sound: string,
  raw: ReturnType<typeof rawFormatOf>,
  sampleRateHz: number,
): Promise<{ opening: Promise<Audio>; end: () => Promise<void> }> {
  if (sound === "mic") {
    const microphone = await openMicrophone(sampleRateHz);
    const samples = { encoding: "s16le", sampleRateHz, numChannels: 1 } as const;
    const opening = openLiveAudio(microphone.sound, { name: "microphone", raw: samples });
    return { opening, end: async () => microphone.stop() };
  }
  if (sound === "-") {
    const end = async () => void process.stdin.destroy();
    return { opening: openLiveAudio(process.stdin, { raw }), end };
  }
  if (isPipe(sound)) {
    const pipe = openNamedPipe(sound);
    const opening = pipe.opening.then((input) => openLiveAudio(input, { name: sound, raw }));
    return { opening, end: async () => pipe.end() };
  }
  return { opening: openAudio(sound, { raw }), end: async () => {} };
}
