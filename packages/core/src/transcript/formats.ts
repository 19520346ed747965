import { buildCues, type Cue, type CueOptions } from "./cues.ts";
import type { Transcript } from "./transcript.ts";

/** The transcript of one channel of a recording. */
export interface ChannelTranscript {
  /** From 1 up; absent where the channels were mixed or there is only one. */
  readonly channel?: number;
  readonly transcript: Transcript;
}

/** All that was transcribed of one recording. */
export interface RecordingTranscript {
  /** What to call the recording: its file name, usually. */
  readonly name: string;
  readonly channels: readonly ChannelTranscript[];
}

/** The formats a transcript can be written in. */
export const TRANSCRIPT_FORMATS = ["text", "json", "srt", "vtt", "ctm", "tsv"] as const;

/** One of `TRANSCRIPT_FORMATS`. */
export type TranscriptFormat = (typeof TRANSCRIPT_FORMATS)[number];

/** The version of the JSON format; it changes when a field changes its meaning or goes away. */
const JSON_SCHEMA = "nemo-stt/transcript/1";

/**
 * Writes the transcript of a recording; ends with a new line.
 *
 * - `text`: the text; of several channels one line a segment, `1: …`, in order of time.
 * - `json`: `{ schema, name, channels: [{ channel?, text, durationSec, head, segments, words, tokens, events? }] }`.
 * - `srt`, `vtt`: subtitles (`buildCues`); channels are told apart by `1: ` or `<v Channel 1>`.
 * - `ctm`: NIST's `name channel start duration word confidence`, a word a line, seconds.
 * - `tsv`: a header and one segment a line: `start_sec`, `end_sec`, `channel`, `text`.
 */
export function formatTranscript(
  recording: RecordingTranscript,
  format: TranscriptFormat,
  cueOptions: CueOptions = {},
): string {
  switch (format) {
    case "text":
      return formatText(recording);
    case "json":
      return `${JSON.stringify(transcriptJson(recording), undefined, 2)}\n`;
    case "srt":
      return formatSrt(recording, cueOptions);
    case "vtt":
      return formatVtt(recording, cueOptions);
    case "ctm":
      return formatCtm(recording);
    case "tsv":
      return formatTsv(recording);
  }
}

/** A recording's transcript as plain data for JSON, its fields always in the same order (see `formatTranscript`). */
export function transcriptJson({ name, channels }: RecordingTranscript): Record<string, unknown> {
  return {
    schema: JSON_SCHEMA,
    name,
    channels: channels.map(({ channel, transcript }) => {
      const { text, durationSec, head, segments, words, tokens, events, ...rest } = transcript;
      return {
        ...(channel !== undefined && { channel }),
        text,
        durationSec,
        head,
        ...rest,
        segments,
        words,
        tokens,
        ...(events && { events }),
      };
    }),
  };
}

function formatText({ channels }: RecordingTranscript): string {
  // Spaces stay as the model wrote them.
  if (channels.length === 1) return `${channels[0].transcript.text.replaceAll(/[\r\n]+/g, " ")}\n`;
  const segments = inOrder(
    channels.flatMap(({ channel, transcript }) => transcript.segments.map((segment) => ({ ...segment, channel }))),
  );
  return toLines(segments.map(({ channel, text }) => `${channel ?? 1}: ${oneLine(text)}`));
}

function formatSrt(recording: RecordingTranscript, options: CueOptions): string {
  const cues = cuesOf(recording, options).map((cue, i) => {
    // A cue's text ends at an empty line, and some readers take `-->` for the next cue's times.
    const lines = cue.lines.map((line) => line.replaceAll("-->", "->"));
    if (cue.channel !== undefined) lines[0] = `${cue.channel}: ${lines[0]}`;
    return `${i + 1}\n${clock(cue.startSec, ",")} --> ${clock(cue.endSec, ",")}\n${lines.join("\n")}\n`;
  });
  return cues.join("\n");
}

function formatVtt(recording: RecordingTranscript, options: CueOptions): string {
  const cues = cuesOf(recording, options).map((cue) => {
    const text = cue.lines.map(escapeVtt).join("\n");
    const voiced = cue.channel === undefined ? text : `<v Channel ${cue.channel}>${text}`;
    return `\n${clock(cue.startSec, ".")} --> ${clock(cue.endSec, ".")}\n${voiced}\n`;
  });
  return `WEBVTT\n${cues.join("")}`;
}

function formatCtm({ name, channels }: RecordingTranscript): string {
  // Fields are separated by spaces, and `;;` begins a comment.
  const field = (text: string) => text.trim().replaceAll(/\s+/gu, "_") || "_";
  const file = field(name).replace(/^;;/, "_;");
  return toLines(
    channels.flatMap(({ channel, transcript }) =>
      transcript.words
        .filter((word) => word.text.trim() !== "")
        .map(({ text, startSec, endSec, confidence }) => {
          const times = `${startSec.toFixed(3)} ${(endSec - startSec).toFixed(3)}`;
          const score = confidence === undefined ? "" : ` ${confidence.toFixed(4)}`;
          return `${file} ${channel ?? 1} ${times} ${field(text)}${score}`;
        }),
    ),
  );
}

function formatTsv({ channels }: RecordingTranscript): string {
  const rows = inOrder(
    channels.flatMap(({ channel, transcript }) => transcript.segments.map((segment) => ({ ...segment, channel }))),
  ).map(({ startSec, endSec, channel, text }) =>
    [startSec.toFixed(3), endSec.toFixed(3), channel ?? 1, oneLine(text)].join("\t"),
  );
  return toLines(["start_sec\tend_sec\tchannel\ttext", ...rows]);
}

/** The cues of all channels in order of time; a channel is named only where there are several. */
function cuesOf({ channels }: RecordingTranscript, options: CueOptions): (Cue & { channel?: number })[] {
  const named = channels.length > 1;
  return inOrder(
    channels.flatMap(({ channel, transcript }) =>
      buildCues(transcript, options).map((cue) => (named ? { ...cue, channel: channel ?? 1 } : cue)),
    ),
  );
}

/** Sorts by time; what begins together stays in order of channels. */
function inOrder<T extends { readonly startSec: number }>(items: readonly T[]): T[] {
  return items.toSorted((a, b) => a.startSec - b.startSec);
}

/** `hh:mm:ss,mmm` with the separator that the format wants; hours may have more digits. */
function clock(sec: number, separator: "," | "."): string {
  const ms = Math.max(0, Math.round(sec * 1000));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(ms % 1000).padStart(3, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}${separator}${rest}`;
}

/** WebVTT cue text (W3C, section 4.2.2): these three stand for themselves only as entities. */
function escapeVtt(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/gu, " ").trim();
}

function toLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
