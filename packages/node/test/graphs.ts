// The graph builder is not part of what the core offers to others.
import { GraphBuilder } from "../../core/src/onnx/graph.ts";
import { modelBytes, writeModel } from "../../core/src/onnx/write.ts";

/** `y = x · x + bias`, `[row, 3]`, with metadata: the smallest graph that shows every part of a runtime. */
export function affineGraph(bias = 1): Promise<Uint8Array> {
  const builder = new GraphBuilder("affine");
  const x = builder.input("x", "float32", ["row", 3]);
  builder.output("y", builder.op("Add", [builder.op("Mul", [x, x]), builder.number(bias)]), "float32", ["row", 3]);
  builder.output("doubled", builder.op("Add", [x, x]), "float32", ["row", 3]);
  builder.metadata({ model_type: "affine", vocab_size: 7 });
  return modelBytes(builder.finish());
}

const TYPES = ["float32", "float16", "int64", "int32", "uint8", "int8", "bool"] as const;

/** Gives every input back as `same_<type>`. */
export function identityGraph(): Promise<Uint8Array> {
  const builder = new GraphBuilder("identity");
  for (const type of TYPES) builder.output(`same_${type}`, builder.input(type, type, ["n"]), type, ["n"]);
  return modelBytes(builder.finish());
}

/** `numProducts` products of `[row, 512]` with a matrix of ones over 512: the row's mean, slowly. */
export function slowGraph(numProducts: number): Promise<Uint8Array> {
  const builder = new GraphBuilder("slow");
  let value = builder.input("x", "float32", ["row", 512]);
  const ones = builder.table("mean", [512, 512], () => new Float32Array(512 * 512).fill(1 / 512));
  for (let i = 0; i < numProducts; i++) value = builder.op("MatMul", [value, ones]);
  builder.output("y", value, "float32", ["row", 512]);
  return modelBytes(builder.finish());
}

/** `y = x + weights`, `[row, 3]`, whose weights lie in another file. */
export async function externalGraph(location: string, offsetBytes: number): Promise<Uint8Array> {
  const builder = new GraphBuilder("external");
  const x = builder.input("x", "float32", ["row", 3]);
  const weights = builder.table("weights", [3], () => new Float32Array(3));
  builder.output("y", builder.op("Add", [x, weights]), "float32", ["row", 3]);
  const chunks: Uint8Array[] = [];
  const sink = { write: async (bytes: Uint8Array) => void chunks.push(bytes.slice()) };
  await writeModel(builder.finish(), sink, new Map([[weights, { location, offsetBytes }]]));
  return Buffer.concat(chunks);
}
