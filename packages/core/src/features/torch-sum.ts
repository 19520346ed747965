/** Values that one vector register holds in torch's kernels for AVX2, which it also takes with AVX-512. */
const LANES = 8;
/** Sums that torch keeps side by side. */
const CHAINS = 4;
const LEVELS = 4;

/** Running sums, `[level, chain, lane]`: scratch of one call. */
const sums = new Float32Array(LEVELS * CHAINS * LANES);

/**
 * The sum of `data[start, start + length)` followed by zeros up to `width` values, in float32 and in the order of
 * `torch.sum` over a contiguous axis (`cascade_sum`, ATen/native/cpu/SumKernel.cpp, torch 2.13).
 *
 * The order matters where a mean is taken from values that are all the same, as in digital silence: what is left is the
 * rounding of the sum and nothing else, and `normalize: per_feature` divides it by as little.
 */
export function torchSum(data: Float32Array, start: number, length: number, width: number): number {
  const end = start + length;
  const lanes = width >= LANES ? LANES : 1;
  const blockSize = lanes * CHAINS;
  const numVectors = Math.floor(width / lanes);
  const numBlocks = Math.floor(numVectors / CHAINS);
  sumBlocks(data, start, end, numBlocks, blockSize);
  for (let v = numBlocks * CHAINS; v < numVectors; v++) addValues(data, start + v * lanes, end, lanes);
  for (let k = lanes; k < blockSize; k++) sums[k % lanes] += sums[k];
  let sum = 0;
  for (let t = start + numVectors * lanes; t < end; t++) sum = Math.fround(sum + data[t]);
  for (let k = 0; k < lanes; k++) sum = Math.fround(sum + sums[k]);
  return sum;
}

/** Sums whole blocks into the lowest level; a level that took its share of sums is added to the next. */
function sumBlocks(data: Float32Array, start: number, end: number, numBlocks: number, blockSize: number): void {
  sums.fill(0);
  const power = Math.max(4, Math.floor(Math.ceil(Math.log2(Math.max(1, numBlocks))) / LEVELS));
  for (let block = 0; block < numBlocks; block++) {
    addValues(data, start + block * blockSize, end, blockSize);
    for (let level = 1, share = 2 ** power; level < LEVELS && (block + 1) % share === 0; level++, share *= 2 ** power) {
      moveUp(level, blockSize);
    }
  }
  for (let level = 1; level < LEVELS; level++) {
    for (let k = 0; k < blockSize; k++) sums[k] += sums[level * blockSize + k];
  }
}

function addValues(data: Float32Array, from: number, end: number, count: number): void {
  const last = Math.min(count, end - from);
  for (let k = 0; k < last; k++) sums[k] += data[from + k];
}

function moveUp(level: number, blockSize: number): void {
  const to = level * blockSize;
  for (let k = 0; k < blockSize; k++) {
    sums[to + k] += sums[to - blockSize + k];
    sums[to - blockSize + k] = 0;
  }
}
