import { type OpenHypothesis, openHypothesis } from "../../src/decoding/open-hypothesis.ts";
import type { EndpointRules, FinalEvent, InterimEvent } from "../../src/streaming/stream.ts";
import { createUtterances } from "../../src/streaming/utterances.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import type { Tokenizer, TokenizerData } from "../../src/tokenizer/tokenizer.ts";
import { bundled } from "../recognition/bundled.ts";

const { spec } = await bundled("speech");
const STEP_SEC = 0.08;

function sentencePiece(pieces: readonly string[]): TokenizerData {
  const typeOf = (piece: string) => (piece === "<unk>" ? "unknown" : piece.startsWith("<0x") ? "byte" : "normal");
  return { kind: "sentencepiece", pieces, types: pieces.map(typeOf), unkSurface: " ⁇ ", leadingSpace: "one" };
}

/** One of every kind, with what makes trouble. */
export const TOKENIZERS: Record<string, Tokenizer> = {
  "Mandarin characters": createTokenizer({ kind: "characters", pieces: ["我", "们", "好", " ", "a", "b", "，", "。"] }),
  "Japanese pieces without marks of words": createTokenizer(
    sentencePiece(["<unk>", "▁", "です", "私", "は", "カ", "ー", "゙", "。", "<0xE4>", "<0xBD>", "<0xA0>"]),
  ),
  "English pieces": createTokenizer(sentencePiece(["<unk>", "▁he", "llo", "▁yes", "▁", ".", "▁.", "s"])),
  "English pieces with an event": createTokenizer(sentencePiece(["<unk>", "▁he", "llo", "▁yes", "▁", ".", "<EOU>"])),
  "English characters": createTokenizer({ kind: "characters", pieces: [" ", "a", "b", "c", "'", "."] }),
  "WordPiece of both": createTokenizer({
    kind: "wordpiece",
    pieces: ["我", "们", "hel", "##lo", "##。", "。", "[UNK]"],
    special: ["[UNK]"],
  }),
};

/** What one step brings: a token, or none; and whether the utterance is to end behind it. */
export interface FollowedStep {
  readonly token: number | undefined;
  readonly asks?: boolean;
}

/** The events of tokens that come one a step. */
export function follow(tokenizer: Tokenizer, steps: readonly FollowedStep[], rules: EndpointRules) {
  const hypothesis: OpenHypothesis = openHypothesis({ durations: false, confidence: false });
  const utterances = createUtterances({ spec, tokenizer, head: "transducer", hypothesis, rules });
  const events: (InterimEvent | FinalEvent)[] = [];
  for (const { token, asks } of steps) {
    const step = hypothesis.numSteps++;
    if (token !== undefined) {
      hypothesis.tokens.push(token);
      hypothesis.steps.push(step);
      hypothesis.endSteps.push(step + 1);
      hypothesis.logProbs.push(0);
    }
    events.push(...utterances.update(hypothesis.numSteps * STEP_SEC));
    if (asks) events.push(...utterances.cut("asked", hypothesis.numSteps * STEP_SEC));
  }
  return [...events, ...utterances.cut("end", hypothesis.numSteps * STEP_SEC)];
}
