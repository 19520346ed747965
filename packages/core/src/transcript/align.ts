import { SpeechError } from "../errors.ts";

/** One row of an alignment: what stands in the reference against what was recognised. */
export type AlignmentRow =
  | { readonly kind: "equal" | "substitution"; readonly reference: string; readonly hypothesis: string }
  | { readonly kind: "deletion"; readonly reference: string }
  | { readonly kind: "insertion"; readonly hypothesis: string };

/** One step of an alignment: both sequences advance, or only one of them. */
type Move = "both" | "reference" | "hypothesis";

/** Two sequences as numbers, equal where their elements are. */
interface Pair {
  readonly a: Int32Array;
  readonly b: Int32Array;
}

/** A part of both sequences, and how many edits lie between them. */
interface Part {
  readonly a0: number;
  readonly a1: number;
  readonly b0: number;
  readonly b1: number;
  readonly distance: number;
}

/** Diagonals `column - row` that a shortest path can touch. */
interface Band {
  readonly low: number;
  readonly high: number;
}

const FAR = 2 ** 30;

/** Parts of this many cells are aligned with a table of moves, larger ones are halved first. */
const MAX_TABLE_CELLS = 1 << 18;

/** Half a minute of a slow core; an hour of speech by characters, a third of them wrong, takes half of it. */
const MAX_BAND_CELLS = 2e9;

/**
 * Aligns two sequences with the fewest substitutions, deletions and insertions (Levenshtein).
 *
 * Memory grows with the length only: long sequences are halved (Hirschberg 1975), and only cells near the diagonal are
 * computed, as many as there are errors (Ukkonen 1985).
 * @throws SpeechError `LIMIT_EXCEEDED` for texts so long and so different that this would take minutes.
 */
export function alignSequences(reference: readonly string[], hypothesis: readonly string[]): AlignmentRow[] {
  const pair = toNumbers(reference, hypothesis);
  const whole = { a0: 0, a1: reference.length, b0: 0, b1: hypothesis.length };
  const moves: Move[] = [];
  alignPart(pair, { ...whole, distance: findDistance(pair) }, moves);
  let i = 0;
  let j = 0;
  return moves.map((move): AlignmentRow => {
    if (move === "reference") return { kind: "deletion", reference: reference[i++] };
    if (move === "hypothesis") return { kind: "insertion", hypothesis: hypothesis[j++] };
    const kind = pair.a[i] === pair.b[j] ? "equal" : "substitution";
    return { kind, reference: reference[i++], hypothesis: hypothesis[j++] };
  });
}

function toNumbers(reference: readonly string[], hypothesis: readonly string[]): Pair {
  const ids = new Map<string, number>();
  const idOf = (element: string) => {
    let id = ids.get(element);
    if (id === undefined) {
      id = ids.size;
      ids.set(element, id);
    }
    return id;
  };
  return { a: Int32Array.from(reference, idOf), b: Int32Array.from(hypothesis, idOf) };
}

/** The number of edits, by bands of growing width: a result within the number allowed is exact. */
function findDistance(pair: Pair): number {
  const [n, m] = [pair.a.length, pair.b.length];
  const worst = Math.max(n, m);
  let allowed = Math.max(Math.abs(m - n), 16);
  for (;;) {
    if (n * Math.min(allowed, m) > MAX_BAND_CELLS) {
      throw new SpeechError(
        "LIMIT_EXCEEDED",
        `alignment: expected texts that can be compared, got ${n} and ${m} elements with over ${allowed >> 1} differences. Compare shorter parts.`,
      );
    }
    const band = bandOf(n, m, allowed);
    const distance = lastRow(pair, { a0: 0, a1: n, b0: 0, b1: m, distance: allowed }, band, 1)[m];
    if (distance <= allowed || allowed >= worst) return distance;
    allowed = Math.min(worst, allowed * 2);
  }
}

function bandOf(n: number, m: number, distance: number): Band {
  const slack = Math.max(0, distance - Math.abs(m - n)) >> 1;
  return { low: Math.min(0, m - n) - slack, high: Math.max(0, m - n) + slack };
}

function alignPart(pair: Pair, part: Part, moves: Move[]): void {
  const [n, m] = [part.a1 - part.a0, part.b1 - part.b0];
  if (part.distance === 0 || n === 0 || m === 0) {
    for (let i = 0; i < Math.min(n, m); i++) moves.push("both");
    for (let i = m; i < n; i++) moves.push("reference");
    for (let j = n; j < m; j++) moves.push("hypothesis");
    return;
  }
  if ((n + 1) * (m + 1) <= MAX_TABLE_CELLS || n === 1) {
    alignByTable(pair, part, moves);
    return;
  }
  const middle = part.a0 + (n >> 1);
  const band = bandOf(n, m, part.distance);
  const mirrored = { low: m - n - band.high, high: m - n - band.low };
  const before = lastRow(pair, { ...part, a1: middle }, band, 1);
  const after = lastRow(pair, { ...part, a0: middle }, mirrored, -1);
  let cut = 0;
  for (let j = 1; j <= m; j++) if (before[j] + after[m - j] < before[cut] + after[m - cut]) cut = j;
  const at = part.b0 + cut;
  alignPart(pair, { ...part, a1: middle, b1: at, distance: before[cut] }, moves);
  alignPart(pair, { ...part, a0: middle, b0: at, distance: after[m - cut] }, moves);
}

/**
 * The last row of the table of distances: from all of `a` to each beginning of `b` (`direction` 1), or from all of `a`
 * to each end of `b`, both read backwards (-1). Cells outside of the band are far.
 */
function lastRow({ a, b }: Pair, { a0, a1, b0, b1 }: Part, band: Band, direction: 1 | -1): Int32Array {
  const [n, m] = [a1 - a0, b1 - b0];
  const [aStart, bStart] = direction === 1 ? [a0, b0] : [a1 - 1, b1 - 1];
  const row = new Int32Array(m + 1).fill(FAR);
  for (let j = 0; j <= Math.min(m, band.high); j++) row[j] = j;
  for (let i = 1; i <= n; i++) {
    const from = Math.max(0, i + band.low);
    const to = Math.min(m, i + band.high);
    const element = a[aStart + direction * (i - 1)];
    let diagonal: number;
    let left = FAR;
    let j = from;
    if (from === 0) {
      diagonal = row[0];
      left = row[0] + 1;
      row[0] = left;
      j = 1;
    } else {
      diagonal = row[from - 1];
      row[from - 1] = FAR;
    }
    for (; j <= to; j++) {
      const above = row[j];
      let best = above < left ? above + 1 : left + 1;
      const across = element === b[bStart + direction * (j - 1)] ? diagonal : diagonal + 1;
      if (across < best) best = across;
      diagonal = above;
      row[j] = best;
      left = best;
    }
  }
  return row;
}

const BOTH = 0;
const REFERENCE = 1;
const HYPOTHESIS = 2;
const MOVES: readonly Move[] = ["both", "reference", "hypothesis"];

/** The plain table with a move in each cell. */
function alignByTable({ a, b }: Pair, { a0, a1, b0, b1 }: Part, moves: Move[]): void {
  const [n, m] = [a1 - a0, b1 - b0];
  const width = m + 1;
  const table = new Uint8Array((n + 1) * width).fill(HYPOTHESIS, 1, width);
  const row = Int32Array.from({ length: width }, (_, j) => j);
  for (let i = 1; i <= n; i++) {
    let diagonal = row[0];
    row[0] = i;
    table[i * width] = REFERENCE;
    for (let j = 1; j <= m; j++) {
      const across = a[a0 + i - 1] === b[b0 + j - 1] ? diagonal : diagonal + 1;
      diagonal = row[j];
      const best = Math.min(across, row[j] + 1, row[j - 1] + 1);
      table[i * width + j] = best === across ? BOTH : best === row[j] + 1 ? REFERENCE : HYPOTHESIS;
      row[j] = best;
    }
  }
  const found: Move[] = [];
  let [i, j] = [n, m];
  while (i > 0 || j > 0) {
    const move = table[i * width + j];
    found.push(MOVES[move]);
    if (move !== HYPOTHESIS) i--;
    if (move !== REFERENCE) j--;
  }
  for (const move of found.reverse()) moves.push(move);
}
