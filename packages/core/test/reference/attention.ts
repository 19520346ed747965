import type { ConformerSpec } from "../../src/config/spec.ts";
import { dot, type Matrix, softmax, zeros } from "./matrix.ts";
import { linear, type Params } from "./params.ts";
import type { Row } from "./subsampling.ts";

/** What is put in place of a score that must not count. */
const MASKED = -10000;

/** Sine and cosine of one position, interleaved (nemo.md 3.4). */
export function positionRow(position: number, modelSize: number): number[] {
  return Array.from({ length: modelSize }, (_, i) => {
    const angle = position * Math.exp((-(i - (i % 2)) * Math.log(10000)) / modelSize);
    return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

/** Whether query step i may see key step j, lengths aside (nemo.md 3.6); a context of undefined is unlimited. */
export function isVisible(
  style: ConformerSpec["attention"]["style"],
  context: readonly number[] | undefined,
  i: number,
  j: number,
): boolean {
  if (context === undefined) return true;
  const [left] = context;
  if (style === "chunked_limited_with_rc") {
    const [, chunk, right] = context;
    if (left + chunk + right === -3) return true;
    const first = Math.floor(i / chunk) * chunk;
    return j >= first - left && j <= first + chunk - 1 + right;
  }
  const right = context[1];
  if (style === "chunked_limited" && right >= 0) {
    const behind = Math.floor(i / (right + 1)) - Math.floor(j / (right + 1));
    return behind >= 0 && (left < 0 || behind <= Math.floor(left / (right + 1)));
  }
  return (left < 0 || j >= i - left) && (right < 0 || j <= i + right);
}

/** Columns of one head. */
const headOf = (x: Matrix, head: number, size: number): Matrix =>
  x.map((row) => row.slice(head * size, (head + 1) * size));

/** Self-attention of one layer, `[step][model]` → `[step][model]` (nemo.md 3.5.1, 3.5.2). */
export function attention(
  p: Params,
  spec: ConformerSpec,
  prefix: string,
  input: Row,
  context: readonly number[] | undefined,
): Matrix {
  const size = spec.modelSize / spec.numHeads;
  const [q, k, v] = ["q", "k", "v"].map((name) => linear(p, `${prefix}.linear_${name}`, input.x));
  const isLocal = spec.attention.kind === "rel_pos_local_attn";
  const heads = Array.from({ length: spec.numHeads }, (_, h) => {
    const head = { q: headOf(q, h, size), k: headOf(k, h, size), v: headOf(v, h, size) };
    const terms = positionTerms(p, spec, prefix, h);
    return isLocal ? localHead(p, spec, prefix, input, head, h, terms) : fullHead(spec, input, head, terms, context);
  });
  const merged = input.x.map((_, t) => heads.flatMap((head) => head[t]));
  if (isLocal && spec.attention.globalTokens > 0) overwriteGlobalRows(p, spec, prefix, input, { q, k, v }, merged);
  return linear(p, `${prefix}.linear_out`, merged);
}

interface Head {
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
}

/** The relative-position part of scores; absolute positions have none. */
interface PositionTerms {
  readonly u: readonly number[];
  readonly v: readonly number[];
  /** `linear_pos` of a distance, this head's part. */
  readonly of: (distance: number) => readonly number[];
}

function positionTerms(p: Params, spec: ConformerSpec, prefix: string, head: number): PositionTerms {
  const size = spec.modelSize / spec.numHeads;
  const none = new Array<number>(size).fill(0);
  if (spec.attention.kind === "abs_pos") return { u: none, v: none, of: () => none };
  const known = new Map<number, number[]>();
  return {
    u: p.rows(`${prefix}.pos_bias_u`)[head],
    v: p.rows(`${prefix}.pos_bias_v`)[head],
    of: (distance) => {
      const found = known.get(distance);
      if (found) return found;
      const [row] = linear(p, `${prefix}.linear_pos`, [positionRow(distance, spec.modelSize)]);
      const part = row.slice(head * size, (head + 1) * size);
      known.set(distance, part);
      return part;
    },
  };
}

const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v + b[i]);

/** Σ weight · value. */
const weighted = (weights: readonly number[], values: Matrix): number[] =>
  values[0].map((_, d) =>
    dot(
      weights,
      values.map((row) => row[d]),
    ),
  );

function fullHead(
  spec: ConformerSpec,
  input: Row,
  head: Head,
  terms: PositionTerms,
  context: readonly number[] | undefined,
): Matrix {
  const root = Math.sqrt(head.q[0].length);
  return head.q.map((q, i) => {
    if (i >= input.length) return q.map(() => 0);
    const scores = head.k.map((k, j) => {
      if (j >= input.length || !isVisible(spec.attention.style, context, i, j)) return MASKED;
      return (dot(plus(q, terms.u), k) + dot(plus(q, terms.v), terms.of(i - j))) / root;
    });
    return weighted(softmax(scores), head.v);
  });
}

/** The contexts of local attention are those of the constructor. */
const localContext = (spec: ConformerSpec): [number, number] => [
  spec.attention.contexts[0].left,
  spec.attention.contexts[0].right,
];

/** Steps that every other one sees. */
function globalSteps(spec: ConformerSpec, numSteps: number): number[] {
  const { globalTokens, globalTokensSpacing } = spec.attention;
  return Array.from({ length: globalTokens }, (_, n) => n * globalTokensSpacing).filter((t) => t < numSteps);
}

/** Projections for global tokens, where they have some of their own. */
function globalProjection(p: Params, spec: ConformerSpec, prefix: string, input: Row, name: string, local: Matrix) {
  return spec.attention.globalAttnSeparate ? linear(p, `${prefix}.global_${name}`, input.x) : local;
}

/**
 * A band of `2w + 1` slots around every query, with the global keys in front of them.
 *
 * NeMo adds position row r of its table (distance `left - r`) to slot r for the first `left` slots and lines the other
 * rows up with the last slots. With unequal contexts the first do not fall on their own distances
 * (multi_head_attention.py, `RelPositionMultiHeadAttentionLongformer.forward`).
 */
function localHead(
  p: Params,
  spec: ConformerSpec,
  prefix: string,
  input: Row,
  head: Head,
  index: number,
  terms: PositionTerms,
): Matrix {
  const [left, right] = localContext(spec);
  const w = Math.max(left, right);
  const size = head.q[0].length;
  const root = Math.sqrt(size);
  const globals = globalSteps(spec, input.x.length);
  const project = (name: "q" | "k") =>
    spec.attention.globalAttnSeparate
      ? headOf(globalProjection(p, spec, prefix, input, name, []), index, size)
      : head[name];
  const [globalQ, globalK] = globals.length > 0 ? [project("q"), project("k")] : [head.q, head.k];
  return head.q.map((q, i) => {
    if (i >= input.length) return q.map(() => 0);
    const scores = globals.map((g) => dot(globalQ[i], globalK[g]) / root);
    const values = globals.map((g) => head.v[g]);
    for (let slot = 0; slot <= 2 * w; slot++) {
      const j = i - w + slot;
      if (j < 0 || j >= input.length || slot < w - left || slot > w + right) continue;
      let score = dot(plus(q, terms.u), head.k[j]);
      if (slot < left) score += dot(plus(q, terms.v), terms.of(left - slot));
      if (slot >= 2 * w - right) score += dot(plus(q, terms.v), terms.of(2 * w - right - slot));
      scores.push(score / root);
      values.push(head.v[j]);
    }
    return weighted(softmax(scores), values);
  });
}

/**
 * The rows of global tokens attend to every valid step.
 *
 * NeMo lays the queries `[token][head]` out again as `[head][token]` without transposing (`_compute_out_global_to_all`),
 * so head h, token n takes the query that stands at place `h · tokens + n` of the list by token.
 */
function overwriteGlobalRows(
  p: Params,
  spec: ConformerSpec,
  prefix: string,
  input: Row,
  local: { q: Matrix; k: Matrix; v: Matrix },
  merged: Matrix,
): void {
  const size = spec.modelSize / spec.numHeads;
  const globals = globalSteps(spec, input.x.length);
  const q = globalProjection(p, spec, prefix, input, "q", local.q);
  const k = globalProjection(p, spec, prefix, input, "k", local.k);
  const v = globalProjection(p, spec, prefix, input, "v", local.v);
  const queries = globals.flatMap((t) => Array.from({ length: spec.numHeads }, (_, h) => headOf(q, h, size)[t]));
  const rows = zeros(globals.length, spec.modelSize);
  for (let h = 0; h < spec.numHeads; h++) {
    const keys = headOf(k, h, size).slice(0, input.length);
    const values = headOf(v, h, size).slice(0, input.length);
    globals.forEach((_, n) => {
      const query = queries[h * globals.length + n];
      const out = weighted(softmax(keys.map((key) => dot(query, key) / Math.sqrt(size))), values);
      for (let d = 0; d < size; d++) rows[n][h * size + d] = out[d];
    });
  }
  globals.forEach((t, n) => {
    merged[t] = rows[n];
  });
}
