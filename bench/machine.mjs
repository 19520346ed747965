// What a measurement was made on, as the tables name it.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Sets of vector instructions that matter to matrix products, the best first. */
const VECTORS = [
  ["avx512_vnni", "AVX512 with VNNI"],
  ["avx512f", "AVX512"],
  ["avx_vnni", "AVX2 with VNNI"],
  ["avx2", "AVX2"],
];

/** The processor by name, which clouds make short, and by what it can multiply with, where the system tells (Linux). */
export function machineName() {
  const { model } = cpus()[0];
  try {
    const [, flags] = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8")) ?? [];
    const has = new Set(flags?.trim().split(/\s+/));
    const [, vectors] = VECTORS.find(([flag]) => has.has(flag)) ?? [];
    return vectors ? `${model} (${vectors})` : model;
  } catch {
    return model;
  }
}
