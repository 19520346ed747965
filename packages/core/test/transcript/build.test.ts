import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DecodingSpec, ModelSpec } from "../../src/config/spec.ts";
import type { Hypothesis } from "../../src/decoding/hypothesis.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { sentencePieceFromPieces } from "../../src/tokenizer/open.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { buildTranscript, buildWords } from "../../src/transcript/build.ts";
import { separateEvents, textRules } from "../../src/transcript/text.ts";

const DECODING: DecodingSpec = {
  strategy: "greedy_batch",
  confidence: {
    excludeBlank: true,
    aggregation: "min",
    tdtIncludeDuration: false,
    method: "entropy",
    entropyType: "tsallis",
    alpha: 0.33,
    entropyNorm: "exp",
  },
  wordSeparator: " ",
  segmentSeparators: [".", "?", "!"],
  segmentGapThresholdSteps: undefined,
  stripLangTags: false,
  langTagPattern: undefined,
  eouString: "<EOU>",
  eobString: "<EOB>",
};

const ENGLISH = createTokenizer(
  sentencePieceFromPieces([
    "<unk>",
    "▁",
    "▁he",
    "llo",
    "▁yes",
    ".",
    ",",
    "▁'",
    "s",
    "▁.",
    "<EOU>",
    "▁<en-US>",
    "?",
    "'",
  ]),
);
const LETTERS = createTokenizer({ kind: "characters", pieces: [" ", "a", "b", "'"] });
const CHINESE = createTokenizer({ kind: "characters", pieces: ["你", "好", "。"] });
const BERT = createTokenizer({ kind: "wordpiece", pieces: ["[UNK]", "walk", "##ing", ",", "a"], special: ["[UNK]"] });
const BOTH = createTokenizer({
  kind: "aggregate",
  parts: [
    { lang: "en", data: sentencePieceFromPieces(["<unk>", "▁hi", "▁", "a"]) },
    { lang: "es", data: sentencePieceFromPieces(["<unk>", "▁ho", "la", "."]) },
  ],
});

function specWith(decoding: Partial<DecodingSpec> = {}): Pick<ModelSpec, "decoding" | "encoder" | "features"> {
  return {
    decoding: { ...DECODING, ...decoding },
    encoder: { kind: "graph", subsamplingFactor: 8 } as ModelSpec["encoder"],
    features: { hopSamples: 160, sampleRateHz: 16_000 } as ModelSpec["features"],
  };
}

/** A hypothesis by spelling: pieces, steps and, for TDT, durations. */
function found(
  tokenizer: Tokenizer,
  given: readonly (readonly [piece: string, step: number, end?: number])[],
): Hypothesis {
  return {
    tokens: given.map(([piece]) => tokenizer.pieces.indexOf(piece)),
    steps: given.map(([, step]) => step),
    endSteps: given.map(([, step, end]) => end ?? step + 1),
    logProbs: given.map(() => 0),
    confidence: given.map((_, i) => (i + 1) / 10),
    numSteps: 100,
  };
}

const shown = (items: readonly { text: string; startStep: number; endStep: number }[]) =>
  items.map((item) => [item.text, item.startStep, item.endStep]);

describe("buildTranscript", () => {
  test("gives words their real times and leaves punctuation out of them", () => {
    const hypothesis = found(ENGLISH, [
      ["▁he", 3, 5],
      ["llo", 6, 8],
      [",", 20, 21],
      ["▁yes", 25, 27],
      [".", 40],
    ]);
    const options = { spec: specWith(), head: "ctc", timestamps: "steps", durationSec: 4 } as const;
    const transcript = buildTranscript(hypothesis, ENGLISH, options);
    expect(transcript.text).toBe("hello, yes.");
    expect(shown(transcript.tokens)).toEqual([
      ["▁he", 3, 5],
      ["llo", 6, 8],
      [",", 20, 21],
      ["▁yes", 25, 27],
      [".", 40, 41],
    ]);
    expect(transcript.words).toEqual([
      { text: "hello,", startSec: 0.24, endSec: 0.64, startStep: 3, endStep: 8, confidence: 0.1 },
      { text: "yes.", startSec: 2, endSec: 2.16, startStep: 25, endStep: 27, confidence: 0.4 },
    ]);
    expect(shown(transcript.segments)).toEqual([["hello, yes.", 3, 27]]);
    expect(transcript).toMatchObject({ durationSec: 4, head: "ctc" });
    expect(transcript.events).toBeUndefined();
  });

  test("lets no word last into the next one", () => {
    const hypothesis = found(ENGLISH, [
      ["▁he", 3, 7],
      ["▁yes", 5, 6],
      ["▁he", 5, 6],
    ]);
    const options = { spec: specWith(), head: "transducer", timestamps: "steps", durationSec: 1 } as const;
    expect(shown(buildTranscript(hypothesis, ENGLISH, options).words)).toEqual([
      ["he", 3, 5],
      ["yes", 5, 5],
      ["he", 5, 6],
    ]);
  });

  test("ends real times with the recording, of which the last step is only a part", () => {
    const hypothesis = found(ENGLISH, [
      ["▁he", 3, 5],
      ["▁yes", 11, 13],
    ]);
    const options = { spec: specWith(), head: "transducer", durationSec: 0.9 } as const;
    const ends = (timestamps: "steps" | "nemo") => {
      const { words, segments } = buildTranscript(hypothesis, ENGLISH, { ...options, timestamps });
      return [words[1].endSec, segments[0].endSec];
    };
    expect(ends("steps")).toEqual([0.9, 0.9]);
    expect(ends("nemo")[0]).toBeGreaterThan(0.9);
  });

  test("closes segments at separators and, where configured, at pauses", () => {
    const hypothesis = found(ENGLISH, [
      ["▁yes", 1],
      ["?", 2],
      ["▁he", 4],
      ["llo", 5],
      ["▁yes", 20],
      ["▁he", 22],
    ]);
    const build = (decoding: Partial<DecodingSpec>) =>
      buildTranscript(hypothesis, ENGLISH, {
        spec: specWith(decoding),
        head: "ctc",
        timestamps: "steps",
        durationSec: 1,
      }).segments;
    expect(shown(build({}))).toEqual([
      ["yes?", 1, 2],
      ["hello yes he", 4, 23],
    ]);
    expect(shown(build({ segmentGapThresholdSteps: 14 }))).toEqual([
      ["yes?", 1, 2],
      ["hello", 4, 6],
      ["yes he", 20, 23],
    ]);
    expect(shown(build({ segmentSeparators: [] }))).toEqual([["yes? hello yes he", 1, 23]]);
  });

  test("reports ends of utterances, which no word of ours and every text of NeMo's has", () => {
    const hypothesis = found(ENGLISH, [
      ["▁he", 3],
      ["llo", 4],
      ["<EOU>", 9],
    ]);
    const build = (timestamps: "steps" | "nemo") =>
      buildTranscript(hypothesis, ENGLISH, { spec: specWith(), head: "transducer", timestamps, durationSec: 1 });
    const event = { text: "<EOU>", startStep: 9, endStep: 10, startSec: 0.72, endSec: 0.8, confidence: 0.3 };
    expect(build("steps")).toMatchObject({ text: "hello<EOU>", events: [event] });
    expect(build("steps").tokens).toHaveLength(2);
    expect(shown(build("steps").words)).toEqual([["hello", 3, 5]]);
    expect(build("nemo")).toMatchObject({ text: "hello<EOU>", events: [event] });
    expect(build("nemo").tokens).toHaveLength(3);
    expect(shown(build("nemo").words)).toEqual([["hello<EOU>", 3, 10]]);
  });

  test("counts NeMo's times in `window_stride` and forgets a reduction, real times in samples", () => {
    const encoder = { kind: "conformer", subsampling: { kind: "striding", factor: 4 }, reduction: { factor: 2 } };
    const features = { hopSamples: 220, hopSec: 0.01, sampleRateHz: 22_050 };
    const spec = { ...specWith(), encoder, features } as ReturnType<typeof specWith>;
    const startOf = (timestamps: "steps" | "nemo", given = spec) =>
      buildTranscript(found(ENGLISH, [["▁he", 100]]), ENGLISH, {
        ...{ spec: given, head: "transducer", timestamps, durationSec: 9 },
      }).words[0].startSec;
    expect(startOf("nemo")).toBe(4);
    expect(startOf("steps")).toBeCloseTo((100 * 8 * 220) / 22_050, 12);
    const blocks = [{ stride: 2, strideLast: false, repeat: 3 }, { stride: 1 }];
    const convolutions = { ...specWith(), encoder: { kind: "convasr", subsamplingFactor: 8, blocks } };
    expect(startOf("nemo", convolutions as unknown as typeof spec)).toBe(2);
    expect(startOf("steps", convolutions as unknown as typeof spec)).toBe(8);
  });

  test("takes language tags out where the checkpoint strips them, as NeMo does for transducers", () => {
    const hypothesis = found(ENGLISH, [
      ["▁yes", 1],
      [".", 2],
      ["▁<en-US>", 3],
      ["▁he", 5],
    ]);
    const build = (head: "ctc" | "transducer", stripLangTags: boolean) =>
      buildTranscript(hypothesis, ENGLISH, {
        spec: specWith({ stripLangTags }),
        head,
        timestamps: "steps",
        durationSec: 1,
      });
    expect(build("transducer", true)).toMatchObject({ text: "yes. he", words: [{ text: "yes." }, { text: "he" }] });
    expect(build("transducer", true).events).toMatchObject([{ text: "<en-US>", startStep: 3 }]);
    expect(build("transducer", false).text).toBe("yes. <en-US> he");
    expect(build("ctc", true).text).toBe("yes. <en-US> he");
    const letters = found(LETTERS, [
      ["a", 1],
      [" ", 2],
      ["b", 3],
    ]);
    const spec = specWith({ stripLangTags: true });
    const spaced = buildTranscript(letters, LETTERS, { spec, head: "transducer", timestamps: "steps", durationSec: 1 });
    expect(spaced).toMatchObject({ text: "a b", words: [{ text: "a" }, { text: "b" }] });
  });

  test("makes words of characters, of pieces of words and of several languages", () => {
    const words = (tokenizer: Tokenizer, ...pieces: string[]) => {
      const given = pieces.map((piece, i) => [piece, 2 * i] as const);
      const options = { spec: specWith(), head: "ctc", timestamps: "steps", durationSec: 1 } as const;
      const transcript = buildTranscript(found(tokenizer, given), tokenizer, options);
      return [transcript.text, ...transcript.words.map((w) => `${w.text} ${w.startStep} ${w.confidence}`)];
    };
    expect(words(LETTERS, " ", "a", "b", " ", " ", "a", " ")).toEqual([" ab  a ", "ab 2 0.2", "a 10 0.6"]);
    expect(words(LETTERS, "a", " ", "'", "b")).toEqual(["a'b", "a'b 0 0.1"]);
    expect(words(CHINESE, "你", "好", "。")).toEqual(["你好。", "你好。 0 0.1"]);
    expect(words(BERT, "walk", "##ing", ",", "[UNK]", "a")).toEqual([
      "walking, [UNK] a",
      "walking, 0 0.1",
      "[UNK] 6 0.4",
      "a 8 0.5",
    ]);
    expect(words(BOTH, "▁hi", "▁ho", "la")).toEqual([" hi hola", "hi 0 0.1", "hola 2 0.2"]);
    expect(words(ENGLISH, "▁he", "<unk>", "s", "▁'", "s")).toEqual(["he ⁇ s's", "he 0 0.1", "⁇ 2 0.2", "s's 4 0.3"]);
    expect(words(ENGLISH, "▁", "▁he", "▁", "s", "▁")).toEqual([" he s ", "he 2 0.2", "s 6 0.3"]);
  });

  test("makes nothing of nothing", () => {
    for (const timestamps of ["steps", "nemo"] as const) {
      const options = { spec: specWith(), head: "ctc", timestamps, durationSec: 0 } as const;
      expect(buildTranscript(found(ENGLISH, []), ENGLISH, options)).toEqual({
        text: "",
        durationSec: 0,
        tokens: [],
        words: [],
        segments: [],
        head: "ctc",
      });
    }
  });

  test("gives words that are the text, in order and without overlap, for any tokens", () => {
    const tokenizers = [ENGLISH, LETTERS, CHINESE, BERT, BOTH];
    fc.assert(
      fc.property(
        fc.constantFrom(...tokenizers),
        fc.array(fc.record({ id: fc.nat(), gap: fc.nat(3), length: fc.nat(4) }), { maxLength: 25 }),
        fc.boolean(),
        (tokenizer, drawn, stripLangTags) => {
          let step = 0;
          const given = drawn.map(({ id, gap, length }) => {
            step += gap;
            return [tokenizer.pieces[id % tokenizer.size], step, step + length] as const;
          });
          const spec = specWith({ stripLangTags, segmentGapThresholdSteps: 2 });
          const options = { spec, head: "transducer", timestamps: "steps", durationSec: 9 } as const;
          const { words, segments } = buildTranscript(found(tokenizer, given), tokenizer, options);
          // What interims tell is what finals do, events set aside before.
          const { speech } = separateEvents(found(tokenizer, given), textRules(tokenizer, spec.decoding, "transducer"));
          const whole = buildTranscript(speech, tokenizer, options);
          expect(buildWords(speech, tokenizer, options)).toEqual({ text: whole.text, words: whole.words });
          const isEvent = (piece: string) => piece === "<EOU>" || (stripLangTags && piece === "▁<en-US>");
          const spoken = given.filter(([piece]) => !isEvent(piece));
          const { text } = buildTranscript(found(tokenizer, spoken), tokenizer, options);
          const joined = text.trim().replaceAll(/\s+/g, " ");
          expect(words.map((word) => word.text).join(" ")).toBe(joined);
          expect(segments.map((segment) => segment.text).join(" ")).toBe(joined);
          let end = 0;
          for (const word of words) {
            expect(word.startStep).toBeGreaterThanOrEqual(end);
            expect(word.endStep).toBeGreaterThanOrEqual(word.startStep);
            end = word.endStep;
          }
          expect(segments.map((s) => s.startStep)).toEqual(segments.map((s) => s.startStep).sort((a, b) => a - b));
        },
      ),
      { numRuns: 1000, seed: 4 },
    );
  });
});
