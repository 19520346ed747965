import { createRequire } from "node:module";

/** The program's version, from its package. */
export const VERSION: string = createRequire(import.meta.url)("../package.json").version;
