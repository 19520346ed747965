import type {
  BatchRules,
  BatchTimes,
  BufferedOptions,
  Calibration,
  Precision,
  StepCost,
  StreamEvent,
  StreamOptions,
} from "@nemo-stt/core";
import type { CrossingError } from "./crossing-error.ts";
import type { GateMemory } from "./run-gate.ts";

/** What a thread is started with. */
export interface ThreadStart {
  /** The exported model's folder, or another tool's graphs as `openAnyModel` takes them. */
  readonly model: string;
  readonly method: "cache-aware" | "buffered";
  readonly buffered: BufferedOptions | undefined;
  readonly precision: Precision | undefined;
  /** The exported voice activity model's folder. */
  readonly vadFolder: string | undefined;
  readonly calibration: Calibration | undefined;
  readonly maxStreams: number;
  readonly numThreads: number;
  readonly batches: BatchRules | undefined;
  /** Whether to measure what batches cost before the first stream. */
  readonly measures: boolean;
  readonly gate: GateMemory;
}

/** What a thread is told of one stream. Positions are samples since the stream was opened in this engine. */
export type StreamCommand =
  | {
      readonly kind: "open";
      readonly stream: number;
      readonly options: StreamOptions;
      readonly saved: Uint8Array | undefined;
      /** The number of the next event. */
      readonly numEvents: number;
    }
  | { readonly kind: "feed"; readonly stream: number; readonly end: number; readonly samples: Float32Array }
  | { readonly kind: "cut" | "finish" | "save"; readonly stream: number; readonly request: number }
  | { readonly kind: "close"; readonly stream: number };

/** What a thread tells. */
export type ThreadReport =
  | { readonly kind: "ready"; readonly costs: readonly StepCost[] }
  /** The thread cannot work at all. */
  | { readonly kind: "refused"; readonly error: CrossingError }
  | { readonly kind: "batch"; readonly report: BatchTimes }
  | StreamReport;

/** What a thread tells of one stream. */
export type StreamReport =
  | { readonly kind: "opened"; readonly stream: number }
  | { readonly kind: "failed"; readonly stream: number; readonly error: CrossingError }
  /** More sound may be sent: that up to `end` does not wait any more. */
  | { readonly kind: "fed"; readonly stream: number; readonly end: number }
  | { readonly kind: "events"; readonly stream: number; readonly first: number; readonly events: StreamEvent[] }
  | { readonly kind: "done"; readonly stream: number; readonly request: number }
  | {
      readonly kind: "saved";
      readonly stream: number;
      readonly request: number;
      /** Events before the place where it was saved. */
      readonly numEvents: number;
      readonly blob: Uint8Array;
    };
