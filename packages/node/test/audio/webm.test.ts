import { describe, expect, test } from "vitest";
import { decodeAll, fixtureBytes, fixturePath, joinBytes, largestDifference } from "./fixtures.ts";

/** An element: an id as its bytes, a size of four bytes, content. */
function element(id: readonly number[], ...content: (Uint8Array | string)[]): Uint8Array {
  const body = joinBytes(...content);
  const size = new DataView(new ArrayBuffer(4));
  size.setUint32(0, 0x10000000 + body.length);
  return joinBytes(Uint8Array.from(id), new Uint8Array(size.buffer), body);
}

/** The same with the size left open, as live recordings have it. */
const openElement = (id: readonly number[], ...content: Uint8Array[]) =>
  joinBytes(Uint8Array.from(id), Uint8Array.of(0xff), ...content);

const SEGMENT = [0x18, 0x53, 0x80, 0x67];
const CLUSTER = [0x1f, 0x43, 0xb6, 0x75];
const header = element([0x1a, 0x45, 0xdf, 0xa3], element([0x42, 0x82], "webm"));
const number = (id: readonly number[], value: number) => element(id, Uint8Array.of(value >> 16, value >> 8, value));

function track(trackNumber: number, type: number, codec: string, privateBytes: Uint8Array): Uint8Array {
  const fields = [
    number([0xd7], trackNumber),
    number([0x83], type),
    element([0x86], codec),
    element([0x63, 0xa2], privateBytes),
  ];
  return element([0xae], ...fields);
}

/** Mono, no warm-up, 48 kHz. */
const opusHead = joinBytes("OpusHead", Uint8Array.of(1, 1, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0));
/** A CELT packet of 20 ms: nothing but its first byte, which libopus decodes to silence. */
const packet = Uint8Array.of(0xf8, 0xff, 0xfe);

function block(trackNumber: number, timeMs: number, flags = 0, id = 0xa3): Uint8Array {
  return element([id], Uint8Array.of(0x80 | trackNumber, timeMs >> 8, timeMs, flags), packet);
}

function webm(...blocks: Uint8Array[]): Uint8Array {
  const tracks = element(
    [0x16, 0x54, 0xae, 0x6b],
    track(1, 1, "V_VP8", new Uint8Array(0)),
    track(2, 2, "A_OPUS", opusHead),
  );
  return joinBytes(header, openElement(SEGMENT, tracks, openElement(CLUSTER, number([0xe7], 0), ...blocks)));
}

describe("WebM", () => {
  test("has the samples of the same Opus packets in Ogg", async () => {
    const inWebm = await decodeAll(fixturePath("speech.webm"));
    const inOgg = await decodeAll(fixturePath("speech.opus"));
    expect(inWebm).toMatchObject({ format: "WebM Opus", sampleRateHz: 16_000, numChannels: 2, warnings: [] });
    expect(largestDifference(inWebm.channels, inOgg.channels)).toBe(0);
  });

  test("of a live recording is read, without its pictures", async () => {
    const { channels, warnings } = await decodeAll(
      webm(block(2, 0), block(1, 0), block(2, 20), block(1, 20), block(2, 40)),
    );
    expect(channels.map((channel) => channel.length)).toEqual([3 * 960]);
    expect(warnings).toEqual(["It is silent from beginning to end."]);
  });

  test("leaves out the padding that is told at the end", async () => {
    const padding = number([0x75, 0xa2], 10_000_000);
    const { channels } = await decodeAll(webm(block(2, 0), element([0xa0], block(2, 20, 0, 0xa1), padding)));
    expect(channels[0].length).toBe(960 + 480);
  });

  test("fills gaps with silence, so that the times after them stay right", async () => {
    const { channels, warnings } = await decodeAll(webm(block(2, 0), block(2, 1020), block(2, 1040)));
    expect(channels[0].length).toBe(48_000 + 3 * 960);
    expect(warnings).toContain("It has gaps, which were taken as silence.");
  });

  test("says that it is cut off, and gives what is there", async () => {
    const bytes = await fixtureBytes("speech.webm");
    const { channels, warnings } = await decodeAll(bytes.subarray(0, 2000));
    expect(channels[0].length).toBeGreaterThan(3000);
    expect(warnings).toEqual(["It is cut off, or its end is damaged."]);
  });

  test("goes on with the next cluster behind damage", async () => {
    const rest = openElement(CLUSTER, number([0xe7], 40), block(2, 0));
    const { channels, warnings } = await decodeAll(
      joinBytes(webm(block(2, 0), block(2, 20)), new Uint8Array(50), rest),
    );
    expect(channels[0].length).toBe(3 * 960);
    expect(warnings).toContain("Parts of it are damaged and were left out.");
  });

  test("refuses laced packets and files without sound", async () => {
    await expect(decodeAll(webm(block(2, 0, 2)))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: "recording: expected one Opus packet in a block, got several. Convert it, for example with ffmpeg.",
    });
    await expect(decodeAll(joinBytes(header, openElement(SEGMENT)))).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected a sound track, got none. Name a file with sound; this one may be damaged.",
    });
  });

  test("with another codec goes to ffmpeg", async () => {
    const tracks = element([0x16, 0x54, 0xae, 0x6b], track(1, 2, "A_VORBIS", new Uint8Array(0)));
    await expect(
      decodeAll(joinBytes(header, openElement(SEGMENT, tracks)), { ffmpeg: "no-such-program" }),
    ).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: expect.stringContaining("got WebM or Matroska, which needs ffmpeg, and that is not installed."),
    });
  });
});
