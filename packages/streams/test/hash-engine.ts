import { type SpeechEngine, SpeechError, type SpeechStream, type StreamEvent, type TimedText } from "@nemo-stt/core";

// A stand-in for the engine in tests of the transport: every tenth of a second that is not silent becomes a word that is a
// hash of its samples. Any sample that is lost, doubled or moved shows in the text, and nothing else does.

export interface HashEngineOptions {
  readonly maxStreams?: number;
  /** How long a tenth of a second takes. */
  readonly blockMs?: number;
  /** Words are filled up to so many letters. */
  readonly wordLength?: number;
  /** Fails when it meets a sample of this value. */
  readonly poison?: number;
  /** Finals with these numbers go on in the middle of a word. */
  readonly joined?: readonly number[];
}

const SILENT_BLOCKS = 8;
const SILENCE = 1e-3;

function hashOf(block: Float32Array): string {
  let hash = 0x811c9dc5;
  for (const value of block) hash = Math.imul(hash ^ Math.round(value * 32768), 0x01000193) >>> 0;
  return hash.toString(36);
}

export function hashEngine(options: HashEngineOptions = {}): SpeechEngine & { readonly numOpened: number } {
  const open = new Set<SpeechStream>();
  let numOpened = 0;
  return {
    sampleRateHz: 16_000,
    modes: [{ attContext: [70, 0], chunkSec: 0.1 }],
    defaultContext: [70, 0],
    get numStreams() {
      return open.size;
    },
    get numOpened() {
      return numOpened;
    },
    async open({ sampleRateHz = 16_000 }, onEvent, saved) {
      if (open.size >= (options.maxStreams ?? Number.POSITIVE_INFINITY)) {
        throw new SpeechError("OVER_CAPACITY", `engine: expected at most ${options.maxStreams} streams, got one more.`);
      }
      const close = () => open.delete(stream);
      const stream = hashStream(++numOpened, sampleRateHz, onEvent, options, close, saved);
      open.add(stream);
      return stream;
    },
    async drain() {},
    async close() {
      for (const stream of open) await stream.close();
    },
  };
}

function hashStream(
  id: number,
  rate: number,
  onEvent: (event: StreamEvent) => void,
  options: HashEngineOptions,
  onClosed: () => void,
  saved?: Uint8Array,
): SpeechStream {
  const blockSamples = rate / 10;
  const pending = new Float32Array(blockSamples);
  let filled = 0;
  let heard = 0;
  let numSilent = 0;
  let utterance = 0;
  let isClosed = false;
  let words: TimedText[] = [];
  if (saved) {
    const state = JSON.parse(Buffer.from(saved).toString());
    ({ filled, heard, numSilent, utterance, words } = state);
    pending.set(state.pending);
  }

  const takeBlock = (block: Float32Array) => {
    const startSec = heard / rate;
    heard += block.length;
    const isSilent = block.every((value) => Math.abs(value) < SILENCE);
    numSilent = isSilent ? numSilent + 1 : 0;
    if (!isSilent) {
      const step = Math.round(startSec * 10);
      const word = {
        text: hashOf(block).padEnd(options.wordLength ?? 0, "x"),
        startSec,
        endSec: heard / rate,
        startStep: step,
        endStep: step + 1,
      };
      words.push({ ...word, confidence: 0.75 });
      const text = words.map((w) => w.text).join(" ");
      onEvent({ type: "interim", utterance, text, stableText: text, words, heardSec: heard / rate });
    } else if (numSilent === SILENT_BLOCKS) cut("silence");
  };
  const cut = (reason: "silence" | "asked" | "end") => {
    if (words.length === 0) return;
    const [startSec, endSec] = [words[0].startSec, words[words.length - 1].endSec];
    const text = words.map((w) => w.text).join(" ");
    const times = { startSec, endSec, heardSec: heard / rate };
    onEvent({
      type: "final",
      utterance,
      text,
      words,
      tokens: [],
      confidence: 0.75,
      reason,
      joinsPrevious: options.joined?.includes(utterance) ?? false,
      ...times,
    });
    words = [];
    utterance++;
  };
  const tail = () => {
    if (filled > 0) takeBlock(pending.slice(0, filled));
    filled = 0;
  };
  const check = () => {
    if (isClosed) throw new SpeechError("CLOSED", "stream: expected no call after its end, got one.");
  };
  const close = () => {
    isClosed = true;
    onClosed();
  };
  return {
    id,
    async feed(samples) {
      check();
      for (const value of samples) {
        if (options.poison !== undefined && Math.abs(value - options.poison) < 1e-4)
          throw new SpeechError("RUNTIME_FAILED", "engine: expected to run, got poison.");
        pending[filled++] = value;
        if (filled < blockSamples) continue;
        takeBlock(pending.slice());
        filled = 0;
        if (options.blockMs) await new Promise((resolve) => setTimeout(resolve, options.blockMs));
      }
    },
    async endUtterance() {
      check();
      cut("asked");
    },
    async finish() {
      check();
      tail();
      cut("end");
      close();
    },
    async close() {
      close();
    },
    async save() {
      return Buffer.from(JSON.stringify({ filled, heard, numSilent, utterance, words, pending: [...pending] }));
    },
  };
}

/** The finals that the engine gives for samples as a whole. */
export async function hashFinals(samples: Float32Array, sampleRateHz: number): Promise<string[]> {
  const finals: string[] = [];
  const stream = await hashEngine().open(
    { sampleRateHz },
    (event) => event.type === "final" && finals.push(event.text),
  );
  await stream.feed(samples);
  await stream.finish();
  return finals;
}
