import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ModelSpec } from "../../src/config/spec.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";
import { createTransducerDecoder } from "../../src/decoding/transducer.ts";
import type { FinalEvent } from "../../src/streaming/stream.ts";
import { createUtterances } from "../../src/streaming/utterances.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { buildTranscript } from "../../src/transcript/build.ts";
import { type TableModel, tableNetworks, tableRows } from "../decoding/table-networks.ts";
import { bundled } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const PIECES = ["<unk>", "▁he", "llo", "▁yes", "<EOU>", "<EOB>", "▁so"];
const EOU = PIECES.indexOf("<EOU>");
const tokenizer = createTokenizer({
  kind: "sentencepiece",
  pieces: PIECES,
  types: PIECES.map((piece) => (piece === "<unk>" ? "unknown" : piece.startsWith("<") ? "user" : "normal")),
  unkSurface: " ⁇ ",
  leadingSpace: "one",
});
const { spec: bundledSpec } = await bundled("speech");

/** A transducer that emits `<EOU>` now and then, as tables. */
function eouModel(seed: number, durations: readonly number[]): { spec: ModelSpec; model: TableModel } {
  const transducer = bundledSpec.heads.transducer as NonNullable<ModelSpec["heads"]["transducer"]>;
  const own = { ...transducer, kind: durations.length > 0 ? ("tdt" as const) : ("rnnt" as const), durations };
  return {
    spec: { ...bundledSpec, heads: { transducer: { ...own, vocabularySize: PIECES.length } } },
    model: { seed, blank: PIECES.length, durations, blankLead: 2 },
  };
}

/** A causal encoder hears a step when its first frame has come: the recording may end behind it. */
const heardSec = (numSteps: number) => numSteps * 0.08 - 0.07;

/** Decodes `numSteps` steps in pieces, and follows the hypothesis with rules that cut at `<EOU>` only. */
async function follow(seed: number, durations: readonly number[], numSteps: number, pieces: readonly number[]) {
  const { spec, model } = eouModel(seed, durations);
  const decoder = createTransducerDecoder(tableNetworks(model).networks, {
    blank: model.blank,
    durations,
    maxSymbols: 3,
    confidence: spec.decoding.confidence,
  });
  const state = decoder.createState();
  const whole = decoder.createState();
  const rows = tableRows(seed, numSteps);
  await decoder.push([{ state: whole, encoded: rows, numSteps }]);
  const head = "transducer";
  const rules = { silence: "none", maxUtteranceSec: 1e9 } as const;
  const utterances = createUtterances({ spec, tokenizer, head, hypothesis: state.hypothesis, rules });
  const finals: FinalEvent[] = [];
  const keep = (events: readonly { readonly type: string }[]) => {
    for (const event of events) if (event.type === "final") finals.push(event as FinalEvent);
  };
  for (let at = 0, n = 0; at < numSteps; n++) {
    const size = Math.min(pieces[n % pieces.length], numSteps - at);
    await decoder.push([{ state, encoded: rows.subarray(at * 2, (at + size) * 2), numSteps: size }]);
    at += size;
    keep(utterances.update(heardSec(at)));
  }
  keep(utterances.cut("end", heardSec(numSteps)));
  const hypothesis = closeHypothesis(whole.hypothesis);
  return { finals, hypothesis, spec, head } as const;
}

const cases = fc.record({
  seed: fc.nat({ max: 10_000 }),
  durations: fc.constantFrom<number[]>([], [0, 1, 2, 4]),
  numSteps: fc.integer({ min: 1, max: 80 }),
  pieces: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 }),
});

describe("utterances of a model with a token for their end", () => {
  test("end at the token, which stands beside the text; no word is lost, however the steps come", async () => {
    let numCut = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ({ seed, durations, numSteps, pieces }) => {
        const { finals, hypothesis, spec, head } = await follow(seed, durations, numSteps, pieces);
        const whole = buildTranscript(hypothesis, tokenizer, { spec, head, timestamps: "steps", durationSec: 0 });
        const tokens = finals.flatMap((final) => final.tokens);
        expect(tokens.map(({ id, startStep }) => [id, startStep])).toEqual(
          whole.tokens.map(({ id, startStep }) => [id, startStep]),
        );
        for (const final of finals) {
          expect(final.text).not.toMatch(/<EO[UB]>/);
          for (const timed of [final, ...final.words, ...final.tokens, ...(final.events ?? [])]) {
            expect(timed.endSec).toBeLessThanOrEqual(final.heardSec);
          }
          const ends = (final.events ?? []).filter(({ text }) => text === "<EOU>");
          expect(ends).toHaveLength(final.reason === "eou" ? 1 : 0);
          for (const { id } of final.tokens) expect(id).not.toBe(EOU);
          if (final.reason === "eou") {
            numCut++;
            expect(ends[0].startStep).toBeGreaterThanOrEqual(final.tokens.at(-1)?.startStep ?? 0);
          }
        }
        // Every end is reported but those of utterances without a word.
        const reported = finals
          .flatMap(({ events = [] }) => events)
          .map(({ text, startStep }) => `${text} ${startStep}`);
        const all = (whole.events ?? []).map(({ text, startStep }) => `${text} ${startStep}`);
        expect(all).toEqual(expect.arrayContaining(reported));
      }),
      propertyRuns(60),
    );
    expect(numCut).toBeGreaterThan(30);
  });
});
