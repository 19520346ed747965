import { describe } from "vitest";
import { describeModel } from "../../src/config/describe.ts";
import { FAMILIES } from "../config/families.ts";
import { tensorMap } from "../config/synthetic.ts";
import { fuzz } from "./fuzz.ts";
import { random } from "./mutate.ts";

/** What a configuration or a shape may hold at any place. */
const HOSTILE: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 2, 0.5, 1e308, 2 ** 31, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY],
  ...["", "???", "nemo:x", "causal", "x".repeat(5000), "__proto__", [], {}, [[]], [[1, 2]], [null], [1e9], ["a", {}]],
  ...[
    { params: 1 },
    { _target_: 3 },
    { _target_: "a.b" },
    new Array(3000).fill([1, 1]),
    { fixed_mean: 1, fixed_std: [] },
  ],
];

const models = Object.values(FAMILIES).map((make) => {
  const { config, tensors } = make();
  return { config, shapes: Object.fromEntries([...tensors].map(([name, { dims }]) => [name, dims])) };
});

type Node = Record<string, unknown>;
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;

/** A model of some family with some values replaced or left out; the bytes say which, and zeros say none. */
function mutated(bytes: Uint8Array): { config: Node; shapes: Node } {
  const next = random(bytes.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, bytes.length));
  const isChanged = bytes.some((byte) => byte !== 0);
  const model = structuredClone(models[isChanged ? next(models.length) : 0]);
  for (let left = isChanged ? 1 + next(3) : 0; left > 0; left--) {
    let owner: Node = next(4) === 0 ? model.shapes : (model.config as Node);
    for (;;) {
      const keys = Object.keys(owner);
      const key = next(12) === 0 || keys.length === 0 ? "unheard_of" : keys[next(keys.length)];
      const value = owner[key];
      if (isNode(value) && next(4) > 0) owner = value;
      else {
        if (next(5) === 0 && !Array.isArray(owner)) delete owner[key];
        else owner[key] = structuredClone(HOSTILE[next(HOSTILE.length)]);
        break;
      }
    }
  }
  return model;
}

/** A checkpoint's index has only lists of sizes as shapes. */
const isShape = (dims: unknown): dims is number[] =>
  Array.isArray(dims) && dims.every((size) => Number.isSafeInteger(size) && size >= 0);

describe("fuzz", () => {
  fuzz("model description", [new Uint8Array(32)], (bytes) => {
    const { config, shapes } = mutated(bytes);
    const valid = Object.entries(shapes).filter((entry): entry is [string, number[]] => isShape(entry[1]));
    return describeModel(config, tensorMap(Object.fromEntries(valid)), ["0123_tokenizer.model"]);
  });
});
