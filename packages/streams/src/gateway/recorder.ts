import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeSamples, SpeechError, wavHeader } from "@nemo-stt/core";
import type { SoundFormat } from "../voice/encodings.ts";
import type { Call } from "./call.ts";
import type { CallUtterance, EndReason } from "./feed.ts";
import type { SessionName } from "./session-name.ts";
import type { SessionRecording } from "./session-recording.ts";

/** A party of a recorded call. */
export interface RecordedParty {
  readonly sessionId: string;
  readonly channelNumber: number;
  readonly channelRole: string;
  readonly phoneNumber: string;
  readonly speakerId: string;
  readonly additionalMetadata: Readonly<Record<string, string>>;
  /** The name of its WAV file, beside the description. */
  readonly file: string;
  /** Where its first sample stands on the call's clock. */
  readonly startMs: number;
  readonly sampleRateHz: number;
  /** 0 until its recording is closed. */
  readonly numSamples: number;
}

/** What is kept of a call as JSON: written when a party begins, and whole when the call ends. */
export interface RecordedCall {
  readonly schema: "nemo-stt-call";
  readonly version: 1;
  readonly callId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Not there while the call goes on, nor after a gateway that was killed. */
  readonly endedAt?: string;
  /** Not there while the call goes on, nor after a gateway that was killed. */
  readonly endReason?: EndReason;
  /** By channel, then by when they began. */
  readonly parties: readonly RecordedParty[];
  readonly transcript: readonly CallUtterance[];
}

/** Keeps calls in a folder: a µ-law WAV for each party, and a description for each call. */
export interface Recorder {
  /** Makes the folder. @throws SpeechError `WRITE_FAILED` */
  prepare(): Promise<void>;
  /** Opens a party's recording, and names it in the call's description, so that a gateway that is killed leaves both. */
  open(name: SessionName, format: SoundFormat, startMs: number): Promise<SessionRecording>;
  /** Writes a call's description, when all of its recordings are closed. */
  finish(call: Call, reason: EndReason): Promise<void>;
  /** Waits until everything is written. */
  close(): Promise<void>;
}

interface OpenCall {
  readonly stem: string;
  readonly startedAt: string;
  /** By their files. */
  readonly parties: Map<string, RecordedParty>;
  numFiles: number;
  /** Descriptions are written one after another. */
  written: Promise<void>;
}

/** RIFF counts bytes in 32 bits: at 8 kHz six days, at 48 kHz a day. */
const MAX_SAMPLES = 2 ** 32 - 4096;

/** Opens a recorder. @param epochMs wall clock time, by which calls are named */
export function openRecorder(folder: string, epochMs: () => number): Recorder {
  const calls = new Map<string, OpenCall>();
  const pending = new Set<Promise<void>>();
  let numCalls = 0;
  const callOf = (callId: string): OpenCall => {
    let call = calls.get(callId);
    if (call) return call;
    const startedAt = new Date(epochMs()).toISOString();
    call = {
      stem: stemOf(callId, startedAt, numCalls++),
      startedAt,
      parties: new Map(),
      numFiles: 0,
      written: Promise.resolve(),
    };
    calls.set(callId, call);
    return call;
  };
  const describe = (callId: string, call: OpenCall, more: Partial<RecordedCall>): Promise<void> => {
    const { stem, startedAt } = call;
    const path = join(folder, `${stem}.json`);
    const write = async () => {
      const head = { schema: "nemo-stt-call", version: 1, callId, startedAt } as const;
      // Files open in any order; a call's parties do not change places with it.
      const parties = [...call.parties.values()].sort(
        (a, b) => a.channelNumber - b.channelNumber || a.startMs - b.startMs,
      );
      const description: RecordedCall = { ...head, transcript: [], ...more, parties };
      // A description that is there is whole.
      await writeFile(`${path}.part`, `${JSON.stringify(description, undefined, 2)}\n`);
      await rename(`${path}.part`, path);
    };
    const written = call.written.then(write);
    call.written = written.catch(() => {});
    return written;
  };
  const finish = async (call: Call, endReason: EndReason): Promise<void> => {
    const recorded = calls.get(call.id);
    if (!recorded) return;
    calls.delete(call.id);
    const endedAt = new Date(epochMs()).toISOString();
    await describe(call.id, recorded, { endedAt, endReason, transcript: call.transcript });
  };
  return {
    async prepare() {
      await mkdir(folder, { recursive: true }).catch((cause: Error) => {
        throw new SpeechError("WRITE_FAILED", `${folder}: expected a folder for recordings, got ${cause.message}.`, {
          cause,
        });
      });
    },
    async open(name, format, startMs) {
      const call = callOf(name.callId);
      const file = `${call.stem}-${call.numFiles++}.wav`;
      const party = partyOf(name, file, format, startMs);
      const writing = await openWriting(join(folder, file), format.sampleRateHz);
      // Named when it is there.
      call.parties.set(file, party);
      await describe(name.callId, call, {}).catch(async (error: unknown) => {
        await writing.close();
        throw error;
      });
      return {
        write: (samples) => writing.write(samples),
        async close() {
          call.parties.set(file, { ...party, numSamples: writing.numSamples });
          await writing.close();
        },
      };
    },
    finish(call, reason) {
      const done = finish(call, reason).finally(() => pending.delete(done));
      pending.add(done);
      return done;
    },
    async close() {
      await Promise.allSettled(pending);
    },
  };
}

function partyOf(name: SessionName, file: string, format: SoundFormat, startMs: number): RecordedParty {
  const { channelNumber, channelRole, phoneNumber, speakerId, additionalMetadata } = name.channel;
  return {
    sessionId: name.id,
    channelNumber,
    channelRole,
    phoneNumber,
    speakerId,
    additionalMetadata: Object.fromEntries(additionalMetadata),
    file,
    startMs: Math.round(startMs),
    sampleRateHz: format.sampleRateHz,
    numSamples: 0,
  };
}

/** A file name of any call id: what is plain in it, and a hash for the rest. */
function stemOf(callId: string, startedAt: string, number: number): string {
  const plain = callId.replaceAll(/[^\w.-]+/g, "_").slice(0, 60);
  const hash = createHash("sha256").update(`${callId}\n${number}`).digest("hex").slice(0, 8);
  return `${startedAt.slice(0, 19).replaceAll(/[:-]/g, "")}-${plain}-${hash}`;
}

interface Writing {
  readonly numSamples: number;
  write(samples: Float32Array): Promise<void>;
  close(): Promise<void>;
}

/** A µ-law file whose header says that nobody knows its length, until it is closed: a crash leaves a file that can be read. */
async function openWriting(path: string, sampleRateHz: number): Promise<Writing> {
  const options = { sampleRateHz, encoding: "ulaw" } as const;
  const file: FileHandle = await open(path, "wx");
  await file.write(wavHeader(options, 1));
  let numSamples = 0;
  return {
    get numSamples() {
      return numSamples;
    },
    async write(samples) {
      if (numSamples + samples.length > MAX_SAMPLES) return;
      await file.write(encodeSamples([samples], "ulaw"));
      numSamples += samples.length;
    },
    async close() {
      try {
        if (numSamples % 2 === 1) await file.write(Uint8Array.of(0));
        await file.write(wavHeader(options, 1, numSamples), 0, undefined, 0);
      } finally {
        await file.close();
      }
    },
  };
}
