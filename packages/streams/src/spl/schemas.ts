import type { SplTuple, SplValue } from "./types.ts";

const tuple = <const A extends SplTuple["tuple"]>(attributes: A) => ({ tuple: attributes });

/** What an application sends: one chunk of a session's sound. `seq` counts chunks from 0, the time is in milliseconds. */
export const STT_UP = tuple({ sessionId: "rstring", seq: "uint64", audioTimestamp: "uint64", audioChunk: "blob" });
/** A chunk of sound on the wire. */
export type SttUp = SplValue<typeof STT_UP>;

/** What the service answers: text of a session. `seq` counts a session's records from 0. */
export const STT_DOWN = tuple({
  sessionId: "rstring",
  seq: "uint64",
  text: "rstring",
  isFinal: "boolean",
  confidence: "float64",
});
/** A text on the wire. */
export type SttDown = SplValue<typeof STT_DOWN>;

/** `Types.spl`: what is known of a channel. */
export const CHANNEL_METADATA = tuple({
  channelNumber: "int32",
  channelRole: "rstring",
  phoneNumber: "rstring",
  speakerId: "rstring",
  additionalMetadata: { map: ["rstring", "rstring"] },
});
/** What is known of a channel: its number from 0, the role of who speaks there, phone number, speaker. */
export type ChannelMetadata = SplValue<typeof CHANNEL_METADATA>;

/** `Types.spl`: both channels of a call, apart. */
export const STEREO_AUDIO_CHUNK = tuple({
  leftChannelData: "blob",
  rightChannelData: "blob",
  audioTimestamp: "uint64",
  sampleRate: "int32",
  bitsPerSample: "int32",
  encoding: "rstring",
});

/** `Types.spl`: one channel of a call. */
export const CHANNEL_AUDIO_STREAM = tuple({
  audioData: "blob",
  audioTimestamp: "uint64",
  channelInfo: CHANNEL_METADATA,
  sampleRate: "int32",
  bitsPerSample: "int32",
});
/** A block of one channel of a call. */
export type ChannelAudioStream = SplValue<typeof CHANNEL_AUDIO_STREAM>;

/** `Types.spl`: what one channel said; times in milliseconds. */
export const CHANNEL_TRANSCRIPTION = tuple({
  text: "rstring",
  confidence: "float64",
  isFinal: "boolean",
  channelInfo: CHANNEL_METADATA,
  startTime: "uint64",
  endTime: "uint64",
});
/** What one channel said. */
export type ChannelTranscription = SplValue<typeof CHANNEL_TRANSCRIPTION>;

/** `Types.spl`: what is known of a call. */
export const CALL_METADATA = tuple({
  callId: "rstring",
  callerNumber: "rstring",
  calledNumber: "rstring",
  callStartTime: "timestamp",
  callEndTime: "timestamp",
  callDirection: "rstring",
  sipHeaders: { map: ["rstring", "rstring"] },
});
/** What is known of a call. */
export type CallMetadata = SplValue<typeof CALL_METADATA>;

/** `Types.spl`: `AudioFormat`. */
export const AUDIO_FORMATS = ["pcm16", "pcm8", "ulaw", "alaw", "opus", "g729"] as const;
/** `Types.spl`: `ChannelRole`. */
export const CHANNEL_ROLES = ["caller", "agent", "left", "right", "customer", "representative", "unknown"] as const;
/** Who speaks on a channel. */
export type ChannelRole = (typeof CHANNEL_ROLES)[number];
