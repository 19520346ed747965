// Draws the last half minute of a voice: its outline, and below it a mark wherever something was understood.
import { PEAK_MS, WINDOW_MS } from "./call-book.js";

/** @typedef {import("./call-book.js").Party} Party */
/** @typedef {import("./call-book.js").Utterance} Utterance */

/** Height of the strip of speech marks, and the space above it. */
const MARKS = 5;
const SPACE = 5;
/** Distance of the lines of time. */
const TICK_MS = 5000;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Party} party
 * @param {{ endMs: number, utterances: Utterance[] }} what `endMs`: the right edge, on the call's clock
 */
export function drawWaveform(canvas, party, { endMs, utterances }) {
  const scale = globalThis.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const x = (/** @type {number} */ ms) => width - ((endMs - ms) * width) / WINDOW_MS;

  context.fillStyle = colour("--line");
  for (let ms = Math.ceil((endMs - WINDOW_MS) / TICK_MS) * TICK_MS; ms <= endMs; ms += TICK_MS) {
    if (ms >= 0) context.fillRect(Math.round(x(ms)), 0, 1, height);
  }
  drawOutline(context, party, { x, width, height: height - MARKS - SPACE, colour: colour("--voice") });
  for (const { startMs, endMs: end, sessionId, note } of utterances) {
    if (sessionId !== party.sessionId || note || end < endMs - WINDOW_MS) continue;
    drawMark(context, x(startMs), x(end), height, colour("--voice"));
  }
  const { interim } = party;
  if (interim) drawMark(context, x(interim.startMs), x(interim.endMs), height, colour("--interim"));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Party} party
 * @param {{ x: (ms: number) => number, width: number, height: number, colour: string }} how
 */
function drawOutline(context, party, { x, width, height, colour }) {
  const columns = new Float32Array(Math.ceil(width));
  for (const { endMs, values } of party.peaks) {
    values.forEach((value, i) => {
      const column = Math.floor(x(endMs - (values.length - i - 0.5) * PEAK_MS));
      if (column >= 0 && column < columns.length) columns[column] = Math.max(columns[column], value);
    });
  }
  const middle = height / 2;
  context.fillStyle = colour;
  columns.forEach((value, column) => {
    // Quiet speech is to be seen too: the square root is between samples and decibels.
    const half = Math.max(value > 0 ? 0.5 : 0, Math.sqrt(value) * middle);
    context.fillRect(column, middle - half, 1, 2 * half);
  });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} from
 * @param {number} to
 * @param {number} height
 * @param {string} colour
 */
function drawMark(context, from, to, height, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(from, height - MARKS, Math.max(3, to - from - 1), MARKS, MARKS / 2);
  context.fill();
}
