export * from "./file-source.ts";
export * from "./onnx-metadata.ts";
export { type NodeRuntimeOptions, nodeRuntime } from "./runtime.ts";
