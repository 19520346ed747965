/** What one gateway takes on, and how long it waits. Every number has its reason. */
export interface GatewayLimits {
  /** Connections of each port: as many as sessions, since every SPL operator has its own. */
  readonly maxConnections: number;
  /** Live sessions: beyond it new ones wait, and are refused in the end. The engine's own capacity is met before. */
  readonly maxSessions: number;
  /** Sessions of one connection: a job sends its parallel channels through one TCPSink. */
  readonly maxSessionsPerConnection: number;
  /** Sound of one session that waits for the engine; then its audio connection is read no further. */
  readonly maxQueuedSec: number;
  /** Finals of one session that no reader took; then its audio connection is read no further. */
  readonly maxUntakenFinals: number;
  /** How long a new session waits for room before it is refused: a caller does not wait longer for a greeting. */
  readonly admissionMs: number;
  /** A record that has begun must be whole by then: a dead peer leaves one half. */
  readonly recordMs: number;
  /** How long a session waits for its peer after a cut: TCPSink tries again every few seconds. */
  readonly reconnectMs: number;
  /** A session that begins in its middle waits so long for what was before. */
  readonly takeUpMs: number;
  /**
   * Where chunks are missing and the application can send them again: a connected one that sends nothing for so long has
   * none. As long as a reader may take nothing, since the same thread may read and send.
   */
  readonly resendMs: number;
  /** One that goes on sending and repeats nothing has none either. Long: a repetition comes behind all that was on its way. */
  readonly repeatMs: number;
  /** A connected session without any sound ends then; the toolkit's own `vgwStaleSessionPurgeInterval`. */
  readonly staleMs: number;
  /** A reader that takes nothing for so long is cut; it comes back and gets the rest. */
  readonly stalledReaderMs: number;
  /** How long TLS may take to agree. */
  readonly handshakeMs: number;
  /** How long live calls may go on after SIGTERM; Kubernetes kills after 30 s unless told. */
  readonly drainMs: number;
}

/** The limits unless told otherwise. */
export const GATEWAY_LIMITS: GatewayLimits = {
  maxConnections: 2000,
  maxSessions: 2000,
  maxSessionsPerConnection: 1000,
  maxQueuedSec: 5,
  maxUntakenFinals: 10_000,
  admissionMs: 10_000,
  recordMs: 30_000,
  reconnectMs: 60_000,
  takeUpMs: 2000,
  resendMs: 60_000,
  repeatMs: 600_000,
  staleMs: 10_800_000,
  stalledReaderMs: 60_000,
  handshakeMs: 10_000,
  drainMs: 25_000,
};
