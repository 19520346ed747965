import { sampleBytes } from "@nemo-stt/core";
import type { SttUp } from "../spl/schemas.ts";
import type { SoundFormat } from "../voice/encodings.ts";
import type { Voice } from "../voice/voice.ts";
import type { HeaderStore, KeptHeader } from "./header-store.ts";

/** Windows whose headers are kept: an application holds marks that were not answered, and what is before them. */
const MAX_WINDOWS = 100;

/**
 * What WAV headers said of the windows of one session. An application that resumes sends the beginning of a long window no
 * more once it is settled; a gateway that follows one that was killed gets the header from here.
 */
export class WindowHeaders {
  readonly #store: HeaderStore | undefined;
  readonly #sessionId: string;

  /** @param store none where nothing is kept, or the session does not resume */
  constructor(store: HeaderStore | undefined, sessionId: string) {
    this.#store = store;
    this.#sessionId = sessionId;
  }

  get #headers(): readonly KeptHeader[] {
    return this.#store?.of(this.#sessionId) ?? [];
  }

  /** Before a chunk is heard: a voice whose window begins behind its header is told what it said. */
  resume(voice: Voice, { seq, audioTimestamp }: SttUp): void {
    if (this.#headers.length === 0 || !voice.isWindowFresh) return;
    const header = this.#headers.find((kept) => kept.seq < seq && (kept.endSeq === undefined || seq < kept.endSeq));
    if (header === undefined) return;
    const { format, dataBytes, timestampMs } = header;
    const heardBytes = bytesOf(format, Math.max(0, Number(audioTimestamp) - timestampMs));
    voice.goOnBehindHeader(format, dataBytes === undefined ? undefined : Math.max(0, dataBytes - heardBytes));
  }

  /** After a chunk was heard, and before anything of it is settled: keeps the header that ended in it, if one did. */
  async keep(voice: Voice, { seq, audioTimestamp }: SttUp): Promise<void> {
    const header = voice.takeHeader();
    if (this.#store === undefined || header === undefined) return;
    const others = this.#headers.filter(({ endSeq }) => endSeq !== undefined && endSeq <= seq);
    const kept = { seq, timestampMs: Number(audioTimestamp), ...header };
    await this.#store.keep(this.#sessionId, [...others.slice(1 - MAX_WINDOWS), kept]);
  }

  /** A mark ended the window. */
  async endWindow(endSeq: bigint): Promise<void> {
    const last = this.#headers.at(-1);
    if (last === undefined || last.endSeq !== undefined || last.seq > endSeq) return;
    await this.#store?.keep(this.#sessionId, [...this.#headers.slice(0, -1), { ...last, endSeq }]);
  }

  /** The session has ended. */
  async forget(): Promise<void> {
    if (this.#headers.length > 0) await this.#store?.keep(this.#sessionId, []);
  }
}

/** Bytes of a time that was counted in whole samples and told in whole milliseconds: none too many. */
function bytesOf({ sampleRateHz, numChannels, encoding }: SoundFormat, durationMs: number): number {
  return Math.floor((durationMs * sampleRateHz) / 1000) * numChannels * sampleBytes(encoding);
}
