export * from "./cache.ts";
export * from "./file-source.ts";
export * from "./folder-source.ts";
export * from "./onnx-metadata.ts";
export { type NodeRuntimeOptions, nodeRuntime } from "./runtime.ts";
export * from "./spill.ts";
export { type WorkerRuntime, type WorkerRuntimeOptions, workerRuntime } from "./workers/worker-runtime.ts";
