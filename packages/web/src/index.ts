export { type WebRuntimeOptions, webRuntime } from "./runtime.ts";
