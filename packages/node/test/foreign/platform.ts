import { existsSync } from "node:fs";
import { root } from "./files.ts";

/** npm leaves the package's binary out on platforms that sherpa-onnx has none for. */
const platform = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

/** Whether sherpa-onnx can be run here. */
export const hasSherpa = existsSync(new URL(`node_modules/sherpa-onnx-${platform}`, root));
