import type {
  BatchReport,
  BatchRules,
  BufferedOptions,
  Calibration,
  Precision,
  StepCost,
  StreamEvent,
  StreamOptions,
} from "@nemo-stt/core";
import type { GateMemory } from "../run-gate.ts";
import type { CrossingError } from "./crossing-error.ts";

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

/** Where a snapshot of a stream is: the blob itself, or the file that holds it. */
export type SnapshotPlace = Uint8Array | string;

/** What a thread is told: of one stream, or to answer. */
export type ThreadCommand = StreamCommand | { readonly kind: "ping" };

/** What a thread is told of one stream. Positions are samples since the stream was opened in this engine. */
export type StreamCommand =
  | {
      readonly kind: "open";
      readonly stream: number;
      readonly options: StreamOptions;
      readonly saved: SnapshotPlace | undefined;
      /** The number of the next event. */
      readonly numEvents: number;
    }
  | { readonly kind: "feed"; readonly stream: number; readonly end: number; readonly samples: Float32Array }
  | { readonly kind: "cut" | "finish"; readonly stream: number; readonly request: number }
  /** Is answered by the blob where there is no file that it may be written to. */
  | { readonly kind: "save"; readonly stream: number; readonly request: number; readonly file: string | undefined }
  /** The engine knows of a snapshot: those before it may go. */
  | { readonly kind: "kept"; readonly stream: number; readonly file: string }
  | { readonly kind: "close"; readonly stream: number };

/** What a thread tells. */
export type ThreadReport =
  | { readonly kind: "ready"; readonly costs: readonly StepCost[] }
  /** The thread cannot work at all. */
  | { readonly kind: "refused"; readonly error: CrossingError }
  | { readonly kind: "batch"; readonly report: BatchReport }
  /** The answer to a `ping`: its event loop goes on. */
  | { readonly kind: "pong" }
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
      readonly place: SnapshotPlace;
    };
