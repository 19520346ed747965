/** A row of a text that was wrapped. */
export interface WrappedRow {
  readonly text: string;
  /** Where it begins in the whole. */
  readonly start: number;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const WITHOUT_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns that a character takes on a terminal. */
const widthOf = (character: string): number => (WITHOUT_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1);

/** Wraps a text to rows of at most `columns` columns, between words where it can; the space between two rows goes. */
export function wrapText(text: string, columns: number): WrappedRow[] {
  const rows: WrappedRow[] = [];
  let start = 0;
  let width = 0;
  /** Where the last space of this row stands. */
  let space = -1;
  for (let i = 0; i < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(i) as number);
    width += widthOf(character);
    if (width > columns && i > start) {
      const end = character === " " ? i : space > start ? space : i;
      rows.push({ text: text.slice(start, end), start });
      start = text[end] === " " ? end + 1 : end;
      space = -1;
      width = 0;
      i = start;
      continue;
    }
    if (character === " ") space = i;
    i += character.length;
  }
  if (start < text.length || rows.length === 0) rows.push({ text: text.slice(start), start });
  return rows;
}
