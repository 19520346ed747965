import type { Runtime } from "../runtime.ts";
import type { ModelFolder } from "./folder.ts";
import type { Recognizer } from "./recognizer.ts";

/** A folder of graphs that another runtime's tools exported. */
export interface ForeignModel {
  readonly folder: ModelFolder;
  /** Names of all files of the folder. */
  readonly names: readonly string[];
  /** The graph the user named, where it was a graph and not the folder. */
  readonly graph: string | undefined;
}

/** Placeholder until the adapters land. */
export declare function openForeignRecognizer(
  model: ForeignModel,
  runtime: Runtime,
  numThreads?: number,
): Promise<Recognizer>;
