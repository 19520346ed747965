// What both views are made of. Text goes in as text, never as HTML: what callers say and call themselves is not trusted.

/** An element with a class and a text. @param {string} tag @param {string} [className] @param {string} [text] @returns {HTMLElement} */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Minutes and seconds. @param {number} ms */
export function timeText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const two = (/** @type {number} */ n) => `${n}`.padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

const STATES = new Map([
  ["live", "live"],
  ["final-mark", "ended"],
  ["vanished", "ended: the application vanished"],
  ["stale", "ended: silent for too long"],
  ["drained", "ended: the gateway stops"],
  ["failed", "failed"],
  ["missed", "ended while this page was not connected"],
]);
/** @param {string} state */
export const stateText = (state) => STATES.get(state) ?? state;
