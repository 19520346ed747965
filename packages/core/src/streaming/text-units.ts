import type { TextRules } from "../transcript/text.ts";

/** Where in a growing row of tokens the text may be cut: what lies before such a place does not change any more. */
export interface TextUnits {
  /**
   * True for tokens that go on with the word before them: without a space, or with a mark, which belongs to that word.
   * @param numSpaces spaces behind that word that stand before these tokens
   */
  continueWord(tokens: readonly number[], numSpaces: number): boolean;
  /** The last place behind `from` where a unit begins (see `createTextUnits`); `from` where none does. */
  lastBegin(tokens: readonly number[], from: number): number;
  /**
   * The place behind the last of the tokens `[from, end)` that is more than the space before a word: such a space is the
   * beginning of what follows.
   */
  wordsEnd(tokens: readonly number[], from: number, end: number): number;
}

/** A character of a script that is written without spaces between words; Hangul has them. */
const SPACELESS = String.raw`[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}\p{scx=Tibetan}]`;
const BEGINS_SPACELESS = new RegExp(`^${SPACELESS}`, "u");
const ENDS_SPACELESS = new RegExp(`${SPACELESS}$`, "u");
/** Signs that change the character before them: vowels, tones, voicing. */
const BEGINS_WITH_SIGN = /^\p{M}/u;

/**
 * The units of a vocabulary. A unit is a word where words have spaces between them, and a token where the script has none
 * (Chinese, Japanese, Thai and others): greedy decoding never takes an emitted token back, so that only the last unit can
 * still grow, by further pieces, a mark, or the missing bytes of its last character.
 */
export function createTextUnits({ tokenizer, marks, shownOf, isEvent }: TextRules): TextUnits {
  const isMark = (text: string) => text !== "" && [...text].every((character) => marks.has(character));
  const beginsWord = (token: number) => tokenizer.startsWord(token) && !isMark(shownOf(token));
  const begins = (tokens: readonly number[], place: number): boolean => {
    if (beginsWord(tokens[place])) return true;
    const shown = shownOf(tokens[place]);
    if (shown === "" || isMark(shown) || BEGINS_WITH_SIGN.test(shown)) return false;
    // Bytes of a character show nothing of it one by one, so none begins a unit.
    return !shown.startsWith("\ufffd") && (BEGINS_SPACELESS.test(shown) || endsSpaceless(shownOf(tokens[place - 1])));
  };
  return {
    continueWord(tokens, numSpaces) {
      const first = tokens.findIndex((token) => shownOf(token) !== "");
      const all = numSpaces + tokens.slice(0, first + 1).filter((token) => tokenizer.startsWord(token)).length;
      // A mark takes away the one space before it.
      return all === 0 || (all === 1 && first >= 0 && isMark(shownOf(tokens[first])));
    },
    lastBegin(tokens, from) {
      for (let place = tokens.length - 1; place > from; place--) if (begins(tokens, place)) return place;
      return from;
    },
    wordsEnd(tokens, from, end) {
      const isSpace = (token: number) => tokenizer.startsWord(token) && shownOf(token) === "" && !isEvent(token);
      let place = end;
      while (place > from && isSpace(tokens[place - 1])) place--;
      return place;
    },
  };
}

const endsSpaceless = (text: string): boolean => ENDS_SPACELESS.test(text);
