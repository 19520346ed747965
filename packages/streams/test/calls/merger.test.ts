import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Spoken, TranscriptMerger } from "../../src/index.ts";

const setup = (options: { maxWaitMs?: number; lagMs?: number } = {}) => {
  const out: Spoken[] = [];
  const clock = { now: 0, nowMs: () => clock.now };
  const merger = new TranscriptMerger<string, Spoken>({ clock, ...options }, (utterance) => out.push(utterance));
  merger.join("a", 0);
  merger.join("b", 1);
  return { out, clock, merger, starts: () => out.map(({ startMs }) => startMs) };
};

describe("transcript merger", () => {
  it("holds a final until no other party can have begun before it", () => {
    const { merger, starts } = setup({ lagMs: 1000 });
    merger.push("a", { startMs: 5000, channelNumber: 0 });
    merger.hear("b", 5500);
    expect(starts()).toEqual([]);
    merger.open("b", 4800);
    merger.push("b", { startMs: 4800, channelNumber: 1 });
    expect(starts()).toEqual([4800]);
    merger.hear("b", 6001);
    expect(starts()).toEqual([4800, 5000]);
  });

  it("waits for an utterance that is under way, however far its party's sound has come", () => {
    const { merger, starts } = setup({ lagMs: 1000 });
    merger.open("a", 7000);
    merger.hear("a", 15_000);
    merger.push("b", { startMs: 11_000, channelNumber: 1 });
    expect(starts()).toEqual([]);
    merger.push("a", { startMs: 7000, channelNumber: 0 });
    expect(starts()).toEqual([7000, 11_000]);
  });

  it("does not wait for an utterance that came to nothing", () => {
    const { merger, starts } = setup({ lagMs: 1000 });
    merger.open("a", 7000);
    merger.hear("a", 15_000);
    merger.push("b", { startMs: 11_000, channelNumber: 1 });
    merger.open("a", undefined);
    expect(starts()).toEqual([11_000]);
  });

  it("lets ties go by channel, and whoever is gone is not waited for", () => {
    const { merger, out } = setup();
    merger.push("b", { startMs: 100, channelNumber: 1 });
    merger.push("a", { startMs: 100, channelNumber: 0 });
    merger.leave("a");
    expect(out.map(({ channelNumber }) => channelNumber)).toEqual([0, 1]);
  });

  it("waits no longer than told, and what comes late comes out at once", () => {
    const { merger, clock, starts } = setup({ maxWaitMs: 2000 });
    merger.push("a", { startMs: 5000, channelNumber: 0 });
    clock.now = 1999;
    merger.sweep();
    expect(starts()).toEqual([]);
    clock.now = 2000;
    merger.sweep();
    expect(starts()).toEqual([5000]);
    merger.hear("a", 9000);
    merger.push("b", { startMs: 4000, channelNumber: 1 });
    expect(starts()).toEqual([5000, 4000]);
  });

  it("puts any interleaving in order where bounds are kept, losing and doubling nothing", () => {
    const utterances = fc.array(fc.record({ channel: fc.nat(2), gap: fc.nat(500), length: fc.nat(900) }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(utterances, (list) => {
        const out: Spoken[] = [];
        const merger = new TranscriptMerger<number, Spoken>({ clock: { nowMs: () => 0 }, lagMs: 0 }, (said) =>
          out.push(said),
        );
        const ends = [0, 0, 0];
        const told = new Set<Spoken>();
        for (const channel of [0, 1, 2]) merger.join(channel, channel);
        const said = list.map(({ channel, gap, length }) => {
          const startMs = ends[channel] + gap;
          ends[channel] = startMs + length + 1;
          return { startMs, endMs: ends[channel], channelNumber: channel };
        });
        // Each final comes when it ends; until then its party is known to be in it.
        for (const utterance of said.toSorted((a, b) => a.endMs - b.endMs)) {
          for (const channel of [0, 1, 2]) {
            const current = said.find(
              (u) => u.channelNumber === channel && u.startMs <= utterance.endMs && !told.has(u),
            );
            if (current) merger.open(channel, current.startMs);
            else if (channel !== utterance.channelNumber) merger.hear(channel, utterance.endMs);
          }
          told.add(utterance);
          merger.push(utterance.channelNumber, utterance);
        }
        for (const channel of [0, 1, 2]) merger.leave(channel);
        expect(out).toEqual(said.toSorted((a, b) => a.startMs - b.startMs || a.channelNumber - b.channelNumber));
      }),
    );
  });
});
