import { describe, expect, test } from "vitest";
import { oggChecksum, parseOggPage } from "../../src/audio/ogg-pages.ts";
import { decodeAll, fixtureBytes, fixturePath, joinBytes, largestDifference } from "./fixtures.ts";

/** What 16 bits leave of libsndfile's floats. */
const ROUNDING = 0.6 / 32_768;
const DAMAGED = "Parts of it are damaged and were left out; times after them are early.";
const CUT_OFF = "It is cut off: the last page of its stream is missing.";

function pagesOf(bytes: Uint8Array): Uint8Array[] {
  const pages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pages.at(-1)!.length)
    pages.push(parseOggPage(bytes.subarray(at))!.bytes.slice());
  return pages;
}

/** Changes a page and makes its checksum right. */
function edited(page: Uint8Array, edit: (view: DataView) => void): Uint8Array {
  const bytes = page.slice();
  const view = new DataView(bytes.buffer);
  edit(view);
  view.setUint32(22, oggChecksum(bytes), true);
  return bytes;
}

const withSerial = (serial: number) => (page: Uint8Array) => edited(page, (view) => view.setUint32(14, serial, true));

/** The place of a page's first byte of content. */
const bodyStart = (page: Uint8Array) => 27 + page[26];

describe.each([
  ["OGG Vorbis", "speech.ogg"],
  ["OGG Opus", "speech.opus"],
])("%s", (format, file) => {
  test("has the samples that libsndfile gives", async () => {
    const ogg = await decodeAll(fixturePath(file));
    const expected = await decodeAll(fixturePath(`${file}.expected.flac`));
    expect(ogg).toMatchObject({ format, sampleRateHz: 16_000, numChannels: 2, durationSec: 0.5, warnings: [] });
    expect(largestDifference(ogg.channels, expected.channels)).toBeLessThan(ROUNDING);
  });

  test("is read on where another file follows it in the same one", async () => {
    const bytes = await fixtureBytes(file);
    const second = joinBytes(...pagesOf(bytes).map(withSerial(99)));
    const one = await decodeAll(bytes);
    for (const next of [bytes, second]) {
      const { channels, durationSec, warnings } = await decodeAll(joinBytes(bytes, next));
      expect(channels[0].length).toBe(16_000);
      expect(
        largestDifference(
          channels.map((channel) => channel.slice(8000)),
          one.channels,
        ),
      ).toBe(0);
      expect({ durationSec, warnings }).toEqual({ durationSec: undefined, warnings: [] });
    }
  });

  test("is read alone where other streams play together with it", async () => {
    const bytes = await fixtureBytes(file);
    const [first, ...rest] = pagesOf(bytes);
    const [otherFirst, ...others] = pagesOf(bytes).map(withSerial(7));
    const mixed = joinBytes(first, otherFirst, ...rest.flatMap((page, i) => [others[i], page]));
    expect(largestDifference((await decodeAll(mixed)).channels, (await decodeAll(bytes)).channels)).toBe(0);
  });

  test("says that it is cut off, and gives what is there", async () => {
    const pages = pagesOf(await fixtureBytes(file));
    const { warnings } = await decodeAll(joinBytes(...pages.slice(0, -1)));
    expect(warnings).toContain(CUT_OFF);
    expect((await decodeAll(joinBytes(...pages.slice(0, -1), pages.at(-1)!.subarray(0, 50)))).warnings).toEqual([
      DAMAGED,
      CUT_OFF,
    ]);
  });

  test("leaves out pages with a wrong checksum", async () => {
    const pages = pagesOf(await fixtureBytes(file));
    const last = pages.at(-1)!.slice();
    last[last.length - 5] ^= 1;
    expect((await decodeAll(joinBytes(...pages.slice(0, -1), last))).warnings).toEqual([DAMAGED, CUT_OFF]);
    expect((await decodeAll(joinBytes(pages[0], "junk OggS junk", ...pages.slice(1)))).warnings).toEqual([DAMAGED]);
  });
});

describe("OGG FLAC", () => {
  test("has exactly the samples that were encoded", async () => {
    const ogg = await decodeAll(fixturePath("speech.oga"));
    expect(ogg).toMatchObject({
      format: "OGG FLAC",
      sampleRateHz: 16_000,
      numChannels: 2,
      durationSec: 0.5,
      warnings: [],
    });
    expect(largestDifference(ogg.channels, (await decodeAll(fixturePath("speech.wav"))).channels)).toBe(0);
  });
});

describe("OGG Opus", () => {
  test("is decoded at the rate that libsndfile chooses from the encoder's", async () => {
    const [head, ...rest] = pagesOf(await fixtureBytes("speech.opus"));
    const rates = [
      [8000, 8000],
      [8001, 12_000],
      [44_100, 48_000],
      [96_000, 48_000],
      [0, 48_000],
    ];
    for (const [inputHz, expectedHz] of rates) {
      const changed = edited(head, (view) => view.setUint32(bodyStart(head) + 12, inputHz, true));
      const { sampleRateHz, channels, durationSec } = await decodeAll(joinBytes(changed, ...rest));
      expect({ sampleRateHz, durationSec, length: channels[0].length }).toEqual({
        sampleRateHz: expectedHz,
        durationSec: 0.5,
        length: expectedHz / 2,
      });
    }
  });

  test("is amplified as its header says", async () => {
    const [head, ...rest] = pagesOf(await fixtureBytes("speech.opus"));
    const louder = edited(head, (view) => view.setInt16(bodyStart(head) + 16, -6 * 256, true));
    const plain = await decodeAll(joinBytes(head, ...rest));
    const { channels } = await decodeAll(joinBytes(louder, ...rest));
    const gain = 10 ** (-6 / 20);
    expect(
      largestDifference(
        channels,
        plain.channels.map((channel) => channel.map((x) => x * gain)),
      ),
    ).toBeLessThan(1e-7);
  });

  test("refuses a header that is cut off or contradicts itself", async () => {
    const [head, ...rest] = pagesOf(await fixtureBytes("speech.opus"));
    const withHead = (edit: (view: DataView) => void) =>
      decodeAll(joinBytes(edited(head, edit), ...rest), { ffmpeg: "no-such-program" });
    const start = bodyStart(head);
    await expect(withHead((view) => view.setUint8(start + 9, 40))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: "recording: expected 1 to 32 channels, got 40. Convert it to mono or stereo.",
    });
    await expect(withHead((view) => view.setUint8(start + 9, 3))).rejects.toThrow(
      "recording: expected 1 or 2 channels in Opus without a channel map, got 3. The file is damaged.",
    );
    await expect(withHead((view) => view.setUint8(start + 18, 1))).rejects.toThrow(
      "recording: expected a whole Opus header, got 19 bytes. The file is damaged.",
    );
  });
});

describe("OGG", () => {
  test("of no codec that is read here is named", async () => {
    const [head, ...rest] = pagesOf(await fixtureBytes("speech.opus"));
    const speex = edited(head, (view) => {
      Buffer.from("Speex   ").forEach((byte, i) => {
        view.setUint8(bodyStart(head) + i, byte);
      });
    });
    await expect(decodeAll(joinBytes(speex, ...rest), { ffmpeg: "no-such-program" })).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message:
        "recording: expected Vorbis, Opus or FLAC in the Ogg file, got Speex. Convert it, for example with ffmpeg.",
    });
  });

  test("refuses parts of another shape", async () => {
    const opus = await fixtureBytes("speech.opus");
    const [head, ...rest] = pagesOf(opus);
    const other = edited(head, (view) => view.setUint32(bodyStart(head) + 12, 48_000, true));
    await expect(decodeAll(joinBytes(opus, other, ...rest))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: expect.stringContaining(
        "expected 16000 Hz and 2 channels throughout, got a part of 48000 Hz and 2 channels.",
      ),
    });
  });

  test("that begins in the middle is refused", async () => {
    const pages = pagesOf(await fixtureBytes("speech.ogg"));
    await expect(decodeAll(joinBytes(...pages.slice(1)))).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected an Ogg file to begin with a stream's first page, got none. The file is damaged.",
    });
  });
});
