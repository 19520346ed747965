import { memorySource } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { sniffAudio } from "../../src/audio/sniff.ts";
import { fixtureBytes, joinBytes } from "./fixtures.ts";

const sniff = (...parts: (string | Uint8Array)[]) => sniffAudio(memorySource(joinBytes(...parts)));
const tag = (numBytes: number) =>
  joinBytes("ID3\x03\0\0\0\0", Uint8Array.of(numBytes >> 7, numBytes & 127), new Uint8Array(numBytes));

describe("sniffAudio", () => {
  test.each([
    ["RIFF....WAVE", { kind: "wav" }],
    ["RIFX....WAVE", { kind: "wav" }],
    ["RF64....WAVE", { kind: "wav" }],
    ["RIFF....AVI LIST", { kind: "other-audio", demuxer: "avi" }],
    ["fLaC", { kind: "flac", start: 0 }],
    ["OggS", { kind: "ogg" }],
    ["\x1a\x45\xdf\xa3", { kind: "webm" }],
    ["....ftypM4A ", { kind: "other-audio", demuxer: "mov" }],
    ["caff", { kind: "other-audio", demuxer: "caf" }],
    ["\x7fELF", { kind: "no-audio", name: "a program" }],
    [`${"\0".repeat(257)}ustar`, { kind: "no-audio", name: "a tar archive" }],
    [`G${"\xff".repeat(187)}`.repeat(3), { kind: "other-audio", demuxer: "mpegts" }],
    ["#EXTM3U\n#EXTINF:123,Sample\nother.mp3\n", { kind: "no-audio", name: "text" }],
    ["Größe und Klang über vierzig Bytes hinweg".normalize(), { kind: "unknown" }],
    ["short text", { kind: "unknown" }],
    ["", { kind: "unknown" }],
  ])("tells %j", async (content, expected) => {
    expect(await sniff(content)).toMatchObject(expected);
  });

  test("tells text in UTF-8 that the look at it cuts in a character", async () => {
    expect(await sniff(Buffer.from(`${"a".repeat(4095)}ä`))).toMatchObject({ kind: "no-audio", name: "text" });
  });

  test("tells MP3 by its frames and steps over tags of any size", async () => {
    const mp3 = (await fixtureBytes("speech.mp3")).subarray(45); // Behind its own tag.
    expect(await sniff(mp3)).toEqual({ kind: "mp3", name: "MP3", start: 0 });
    expect(await sniff(tag(10_000), mp3)).toEqual({ kind: "mp3", name: "MP3", start: 10_010 });
    expect(await sniff(tag(5), tag(7), "fLaC")).toEqual({ kind: "flac", name: "FLAC", start: 32 });
    expect(await sniff(...Array.from({ length: 9 }, () => tag(1)))).toEqual({ kind: "unknown" });
  });

  test("takes samples of sound for nothing else", async () => {
    const wav = await fixtureBytes("speech.wav");
    expect(await sniff(wav.subarray(44))).toEqual({ kind: "unknown" });
    expect(await sniff(new Uint8Array(5000))).toEqual({ kind: "unknown" });
    expect(await sniff(new Uint8Array(5000).fill(0xff))).toEqual({ kind: "unknown" });
  });
});
