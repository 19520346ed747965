import { type Local, VectorFunction, type VectorModule, vectorModule } from "./simd-code.ts";

// The transform of `fft-single.ts` four numbers at a time: the same operations on the same numbers in the same order, and so
// the same result to the bit, at a third of the time. Only the order in which intermediate numbers lie in memory differs:
// behind the first pass the radix-4 bin comes last, so that four of the later transforms stand side by side.

const VECTOR_BYTES = 16;
const HALF = 256;

/** Byte positions in the module's memory. */
const INPUT_REAL = 0;
const INPUT_IMAG = 1024;
const FIRST_REAL = 2048;
const FIRST_IMAG = 3072;
const SECOND_REAL = 4096;
const SECOND_IMAG = 5120;
const POWER = 6144;
const INNER_TWIDDLES = 8192;
const OUTER_TWIDDLES = 8704;
const SPLIT_REAL = 10752;
const SPLIT_IMAG = 11392;
const SQRT_HALF = 12288;

/** Twiddle factors of four transforms of length 8: fourteen vectors. */
const TWIDDLES_BYTES = 14 * VECTOR_BYTES;

/** The tables of the transform, as `fft-single.ts` has them. */
export interface Tables512 {
  /** Fourteen numbers for each of 4 and 32 transforms. */
  readonly innerTwiddles: Float32Array;
  readonly outerTwiddles: Float32Array;
  /** `[128]` */
  readonly splitReal: Float32Array;
  readonly splitImag: Float32Array;
  readonly sqrtHalf: number;
}

/** The transform with its memory, which all users share: fill the input, run, read. */
export interface Transform512 {
  /** Even and odd samples, `[256]` each. */
  readonly inputReal: Float32Array;
  readonly inputImag: Float32Array;
  /** The complex transform of the pairs, `[256]`. */
  readonly real: Float32Array;
  readonly imag: Float32Array;
  /** Powers `[256]`, right for the bins 1 to 127 and 129 to 255. */
  readonly power: Float32Array;
  run(): void;
}

/** Makes the transform; undefined where the platform has no WebAssembly with vectors. */
export function createTransform512(tables: Tables512): Transform512 | undefined {
  const byBlocks = Array.from({ length: HALF / 2 / 4 }, (_, i) => i);
  const eights = byBlocks.slice(0, 8);
  const module = vectorModule(
    [radix4(), radix8(FIRST_REAL, FIRST_IMAG, 128, SECOND_REAL, SECOND_IMAG), outerRadix8(), split()],
    [
      ...byBlocks.slice(0, 16).map((i) => call(0, VECTOR_BYTES * i, 4 * VECTOR_BYTES * i)),
      ...eights.map((q) => call(1, VECTOR_BYTES * q, VECTOR_BYTES * q, INNER_TWIDDLES)),
      ...eights.map((b) => call(2, 128 * b, VECTOR_BYTES * b, OUTER_TWIDDLES + b * TWIDDLES_BYTES)),
      ...byBlocks.map((i) => call(3, 4 * (4 * i + 1), 4 * (HALF - 4 - 4 * i))),
    ],
  );
  if (!module) return undefined;
  writeTables(module, tables);
  const view = (position: number) => new Float32Array(module.memory, position, HALF);
  return {
    inputReal: view(INPUT_REAL),
    inputImag: view(INPUT_IMAG),
    real: view(FIRST_REAL),
    imag: view(FIRST_IMAG),
    power: view(POWER),
    run: module.run,
  };
}

const call = (index: number, from: number, to: number, tables = 0) => ({
  index,
  parameters: [from, to, tables] as const,
});

function writeTables(module: VectorModule, tables: Tables512): void {
  const memory = new Float32Array(module.memory);
  const put = (position: number, values: ArrayLike<number>) => memory.set(values, position / 4);
  const sideBySide = (twiddles: Float32Array, first: number) =>
    Float32Array.from({ length: 14 * 4 }, (_, i) => twiddles[(first + (i % 4)) * 14 + Math.floor(i / 4)]);
  put(INNER_TWIDDLES, sideBySide(tables.innerTwiddles, 0));
  for (let b = 0; b < 8; b++) put(OUTER_TWIDDLES + b * TWIDDLES_BYTES, sideBySide(tables.outerTwiddles, 4 * b));
  put(SPLIT_REAL, tables.splitReal);
  put(SPLIT_IMAG, tables.splitImag);
  put(SQRT_HALF, [tables.sqrtHalf]);
}

const FROM: Local = 0;
const TO: Local = 1;
const TABLES: Local = 2;

/** Four transforms of length 4 over `x[n], x[n + 64], x[n + 128], x[n + 192]`; bin `k` goes to `y[4 n + k]`. */
function radix4(): VectorFunction {
  const f = new VectorFunction();
  const [ar, br, cr, dr] = [0, 1, 2, 3].map((i) => f.load(FROM, INPUT_REAL + 256 * i));
  const [ai, bi, ci, di] = [0, 1, 2, 3].map((i) => f.load(FROM, INPUT_IMAG + 256 * i));
  const [sumACr, sumACi, difACr, difACi] = [f.add(ar, cr), f.add(ai, ci), f.sub(ar, cr), f.sub(ai, ci)];
  const [sumBDr, sumBDi, difBDr, difBDi] = [f.add(br, dr), f.add(bi, di), f.sub(br, dr), f.sub(bi, di)];
  const real = [f.add(sumACr, sumBDr), f.add(difACr, difBDi), f.sub(sumACr, sumBDr), f.sub(difACr, difBDi)];
  const imag = [f.add(sumACi, sumBDi), f.sub(difACi, difBDr), f.sub(sumACi, sumBDi), f.add(difACi, difBDr)];
  transposed(f, real).forEach((v, i) => {
    f.store(TO, FIRST_REAL + VECTOR_BYTES * i, v);
  });
  transposed(f, imag).forEach((v, i) => {
    f.store(TO, FIRST_IMAG + VECTOR_BYTES * i, v);
  });
  return f;
}

/** Four vectors as the rows of a matrix → its columns. */
function transposed(f: VectorFunction, [a, b, c, d]: readonly Local[]): Local[] {
  const low = [f.shuffle(a, b, [0, 4, 1, 5]), f.shuffle(c, d, [0, 4, 1, 5])];
  const high = [f.shuffle(a, b, [2, 6, 3, 7]), f.shuffle(c, d, [2, 6, 3, 7])];
  return [low, high].flatMap(([p, q]) => [f.shuffle(p, q, [0, 1, 4, 5]), f.shuffle(p, q, [2, 3, 6, 7])]);
}

const outerRadix8 = () => radix8(SECOND_REAL, SECOND_IMAG, VECTOR_BYTES, FIRST_REAL, FIRST_IMAG);

/** Four transforms of length 8 side by side; their inputs lie `stepBytes` apart, their bins 128 bytes. */
function radix8(xr: number, xi: number, stepBytes: number, yr: number, yi: number): VectorFunction {
  const f = new VectorFunction();
  const sqrtHalf = f.splat(SQRT_HALF);
  const turned = (i: number): [Local, Local] => {
    const real = f.load(FROM, xr + stepBytes * i);
    const imag = f.load(FROM, xi + stepBytes * i);
    if (i === 0) return [real, imag];
    const wr = f.load(TABLES, 2 * VECTOR_BYTES * (i - 1));
    const wi = f.load(TABLES, 2 * VECTOR_BYTES * (i - 1) + VECTOR_BYTES);
    return [f.sub(f.mul(real, wr), f.mul(imag, wi)), f.add(f.mul(real, wi), f.mul(imag, wr))];
  };
  const put = (bin: number, real: Local, imag: Local) => {
    f.store(TO, yr + 128 * bin, real);
    f.store(TO, yi + 128 * bin, imag);
  };
  const x = [0, 1, 2, 3, 4, 5, 6, 7].map(turned);
  const sum = ([pr, pi]: [Local, Local], [qr, qi]: [Local, Local]): [Local, Local] => [f.add(pr, qr), f.add(pi, qi)];
  const dif = ([pr, pi]: [Local, Local], [qr, qi]: [Local, Local]): [Local, Local] => [f.sub(pr, qr), f.sub(pi, qi)];

  // Even bins: a transform of length 4 over the sums.
  const a = [0, 1, 2, 3].map((i) => sum(x[i], x[i + 4]));
  const [c0, c1, c2, c3] = [sum(a[0], a[2]), sum(a[1], a[3]), dif(a[0], a[2]), dif(a[1], a[3])];
  put(0, f.add(c0[0], c1[0]), f.add(c0[1], c1[1]));
  put(2, f.add(c2[0], c3[1]), f.sub(c2[1], c3[0]));
  put(4, f.sub(c0[0], c1[0]), f.sub(c0[1], c1[1]));
  put(6, f.sub(c2[0], c3[1]), f.add(c2[1], c3[0]));

  // Odd bins: the differences, turned by an eighth and by three eighths.
  const [[b0r, b0i], [b1r, b1i], [b2r, b2i], [b3r, b3i]] = [0, 1, 2, 3].map((i) => dif(x[i], x[i + 4]));
  const [e0r, e0i, e1r, e1i] = [f.add(b0r, b2i), f.sub(b0i, b2r), f.sub(b0r, b2i), f.add(b0i, b2r)];
  const [pr, pi] = [f.mul(f.add(b1r, b3i), sqrtHalf), f.mul(f.sub(b1i, b3r), sqrtHalf)];
  const [qr, qi] = [f.mul(f.sub(b1r, b3i), sqrtHalf), f.mul(f.add(b1i, b3r), sqrtHalf)];
  const [o1r, o1i, o3r, o3i] = [f.add(pr, pi), f.sub(pi, pr), f.sub(qi, qr), f.add(qr, qi)];
  put(1, f.add(e0r, o1r), f.add(e0i, o1i));
  put(3, f.add(e1r, o3r), f.sub(e1i, o3i));
  put(5, f.sub(e0r, o1r), f.sub(e0i, o1i));
  put(7, f.sub(e1r, o3r), f.add(e1i, o3i));
  return f;
}

/** Powers of the bins `k … k + 3` and `256 - k - 3 … 256 - k` of the real signal. */
function split(): VectorFunction {
  const f = new VectorFunction();
  const reversed = (v: Local) => f.shuffle(v, v, [3, 2, 1, 0]);
  const [kr, ki] = [f.load(FROM, FIRST_REAL), f.load(FROM, FIRST_IMAG)];
  const [mr, mi] = [reversed(f.load(TO, FIRST_REAL)), reversed(f.load(TO, FIRST_IMAG))];
  const [sr, si] = [f.load(FROM, SPLIT_REAL), f.load(FROM, SPLIT_IMAG)];
  const [dr, di] = [f.sub(kr, mr), f.add(ki, mi)];
  const pr = f.sub(f.mul(dr, sr), f.mul(di, si));
  const pi = f.add(f.mul(dr, si), f.mul(di, sr));
  const power = (real: Local, imag: Local) => f.add(f.mul(real, real), f.mul(imag, imag));
  f.store(FROM, POWER, power(f.add(mr, pr), f.sub(pi, mi)));
  f.store(TO, POWER, reversed(power(f.sub(kr, pr), f.sub(pi, ki))));
  return f;
}
