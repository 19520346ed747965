import { describe, expect, test } from "vitest";
import { formatTranscript, type RecordingTranscript, transcriptJson } from "../../src/transcript/formats.ts";
import type { TimedText, Transcript } from "../../src/transcript/transcript.ts";

function timed(text: string, startSec: number, endSec: number, confidence?: number): TimedText {
  return { text, startSec, endSec, startStep: 0, endStep: 1, ...(confidence !== undefined && { confidence }) };
}

function transcriptOf(words: TimedText[], more: Partial<Transcript> = {}): Transcript {
  const text = words.map((w) => w.text).join(" ");
  const segments =
    words.length > 0 ? [timed(text, words[0].startSec, words[words.length - 1].endSec)] : ([] as TimedText[]);
  return { text, durationSec: 9, tokens: [], words, segments, head: "ctc", ...more };
}

const ONE: RecordingTranscript = {
  name: "talk.wav",
  channels: [{ transcript: transcriptOf([timed("hello", 0.24, 0.5, 0.98765), timed("you", 3661.0404, 3662)]) }],
};
const CALL: RecordingTranscript = {
  name: "my call.wav",
  channels: [
    { channel: 1, transcript: transcriptOf([timed("hello", 2, 3)]) },
    { channel: 2, transcript: transcriptOf([timed("yes", 1, 1.5), timed("you", 2, 3)]) },
  ],
};
const HOSTILE: RecordingTranscript = {
  name: ";; a\tb",
  channels: [{ transcript: transcriptOf([timed("a\n\nb --> <i>&", 0, 1), timed("c\td", 1, 2)]) }],
};
const EMPTY: RecordingTranscript = { name: "", channels: [{ transcript: transcriptOf([]) }] };

describe("formatTranscript", () => {
  test("text is the text, or the turns of the channels", () => {
    expect(formatTranscript(ONE, "text")).toBe("hello you\n");
    expect(formatTranscript(CALL, "text")).toBe("2: yes you\n1: hello\n");
    expect(formatTranscript(EMPTY, "text")).toBe("\n");
    expect(formatTranscript(HOSTILE, "text")).toBe("a b --> <i>& c\td\n");
  });

  test("srt counts its cues and keeps times out of the text", () => {
    expect(formatTranscript(ONE, "srt")).toBe(
      "1\n00:00:00,240 --> 00:00:01,240\nhello\n\n2\n01:01:01,040 --> 01:01:02,040\nyou\n",
    );
    expect(formatTranscript(CALL, "srt")).toBe(
      "1\n00:00:01,000 --> 00:00:03,000\n2: yes you\n\n2\n00:00:02,000 --> 00:00:03,000\n1: hello\n",
    );
    expect(formatTranscript(HOSTILE, "srt")).toBe("1\n00:00:00,000 --> 00:00:02,000\na b -> <i>& c d\n");
    expect(formatTranscript(EMPTY, "srt")).toBe("");
  });

  test("vtt escapes what would be markup", () => {
    expect(formatTranscript(ONE, "vtt")).toBe(
      "WEBVTT\n\n00:00:00.240 --> 00:00:01.240\nhello\n\n01:01:01.040 --> 01:01:02.040\nyou\n",
    );
    expect(formatTranscript(CALL, "vtt")).toContain("\n<v Channel 2>yes you\n");
    expect(formatTranscript(HOSTILE, "vtt")).toBe(
      "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na b --&gt; &lt;i&gt;&amp; c d\n",
    );
    expect(formatTranscript(EMPTY, "vtt")).toBe("WEBVTT\n");
  });

  test("ctm has one word a line and nothing that would shift its fields", () => {
    expect(formatTranscript(ONE, "ctm")).toBe("talk.wav 1 0.240 0.260 hello 0.9877\ntalk.wav 1 3661.040 0.960 you\n");
    expect(formatTranscript(CALL, "ctm")).toBe(
      "my_call.wav 1 2.000 1.000 hello\nmy_call.wav 2 1.000 0.500 yes\nmy_call.wav 2 2.000 1.000 you\n",
    );
    expect(formatTranscript(HOSTILE, "ctm")).toBe("_;_a_b 1 0.000 1.000 a_b_-->_<i>&\n_;_a_b 1 1.000 1.000 c_d\n");
    expect(formatTranscript(EMPTY, "ctm")).toBe("");
  });

  test("tsv has one segment a line, in order of time", () => {
    expect(formatTranscript(CALL, "tsv")).toBe(
      "start_sec\tend_sec\tchannel\ttext\n1.000\t3.000\t2\tyes you\n2.000\t3.000\t1\thello\n",
    );
    expect(formatTranscript(HOSTILE, "tsv")).toBe(
      "start_sec\tend_sec\tchannel\ttext\n0.000\t2.000\t1\ta b --> <i>& c d\n",
    );
  });

  test("json has all there is, its fields in one order", () => {
    const transcript = transcriptOf([timed("hi", 1, 2)], {
      tokens: [{ ...timed("▁hi", 1, 2), id: 7 }],
      events: [timed("<EOU>", 3, 4)],
    });
    const recording = { name: "a.wav", channels: [{ channel: 2, transcript: { ...transcript, longForm: "whole" } }] };
    const json = transcriptJson(recording) as { channels: object[] };
    expect(Object.keys(json)).toEqual(["schema", "name", "channels"]);
    expect(Object.keys(json.channels[0])).toEqual([
      ..."channel text durationSec head longForm segments words tokens events".split(" "),
    ]);
    expect(JSON.parse(formatTranscript(recording, "json"))).toEqual({
      schema: "nemo-stt/transcript/1",
      name: "a.wav",
      channels: [{ channel: 2, ...transcript, longForm: "whole" }],
    });
    expect(formatTranscript(recording, "json")).toMatch(/\}\n$/);
  });

  test("passes limits of cues on", () => {
    expect(formatTranscript(ONE, "srt", { minSec: 0.1 })).toContain("00:00:00,240 --> 00:00:00,500");
  });
});
