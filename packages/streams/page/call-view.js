// One call in full: a column for each voice, what was said in the order of speaking, what is tentative dim below it.
import { partiesOf, percentile, WINDOW_MS } from "./call-book.js";
import { element, stateText, timeText } from "./dom.js";
import { drawWaveform } from "./waveform.js";

/** @typedef {import("./call-book.js").Call} Call */
/** @typedef {import("./call-book.js").Party} Party */
/** @typedef {import("./call-book.js").Utterance} Utterance */

/** Shows one call in an element, and goes on with it as it changes. */
export class CallView {
  /** @param {HTMLElement} root @param {Call} call */
  constructor(root, call) {
    this.call = call;
    this.version = -1;
    this.title = element("h2");
    this.state = element("p", "state");
    this.heads = element("div", "heads");
    this.said = element("div", "said");
    this.said.setAttribute("role", "log");
    this.said.setAttribute("aria-label", "Transcript");
    this.interims = element("div", "interims");
    this.scroller = element("div", "scroller");
    this.scroller.tabIndex = 0;
    this.scroller.append(this.said, this.interims);
    const top = element("div", "top");
    top.append(this.title, this.state);
    root.replaceChildren(top, this.heads, this.scroller);
    /** @type {Map<string, { head: HTMLElement, canvas: HTMLCanvasElement, figures: HTMLElement, state: HTMLElement }>} */
    this.columns = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
  }

  /** Brings the page to what is known. */
  update() {
    const { call } = this;
    if (call.version === this.version) return;
    this.version = call.version;
    const isAtEnd = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 40;
    this.title.textContent = call.id;
    this.state.textContent = stateText(call.state);
    this.state.dataset.state = call.state === "live" ? "live" : "ended";
    const parties = partiesOf(call);
    this.#updateHeads(parties);
    this.#updateRows(parties);
    this.interims.replaceChildren(...parties.flatMap(({ interim }, i) => (interim ? [rowOf(interim, i, true)] : [])));
    if (isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** @param {Party[]} parties */
  #updateHeads(parties) {
    this.heads.style.setProperty("--parties", `${parties.length}`);
    this.scroller.style.setProperty("--parties", `${parties.length}`);
    if (this.columns.size !== parties.length) {
      this.columns = new Map(parties.map((party, i) => [party.sessionId, headOf(party, i)]));
      this.heads.replaceChildren(...[...this.columns.values()].map(({ head }) => head));
      // A party that joined may stand before others: rows are placed anew.
      this.rows.clear();
      this.said.replaceChildren();
    }
    // A call's first half minute fills the picture from the left.
    const endMs = Math.max(WINDOW_MS, ...parties.map(({ heardMs }) => heardMs));
    for (const party of parties) {
      const column = this.columns.get(party.sessionId);
      if (!column) continue;
      const [p50, p95] = [0.5, 0.95].map((share) => percentile(party.latencies, share));
      const latency = p50 === undefined ? "" : ` · latency p50 ${Math.round(p50)} ms, p95 ${Math.round(p95 ?? p50)} ms`;
      const level = party.rmsDb === undefined ? "" : ` · ${Math.round(party.rmsDb)} dB`;
      column.figures.textContent = `${timeText(party.heardMs)}${level}${latency}`;
      column.state.textContent = party.state === "live" ? "" : stateText(party.state);
      drawWaveform(column.canvas, party, { endMs, utterances: this.call.utterances });
      column.canvas.setAttribute("aria-label", `Sound of ${party.role}, ${timeText(party.heardMs)}${level}`);
    }
  }

  /** @param {Party[]} parties */
  #updateRows(parties) {
    const places = new Map(parties.map(({ sessionId }, i) => [sessionId, i]));
    const keys = new Set(this.call.utterances.map(({ key }) => key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    /** @type {ChildNode | null} */
    let next = this.said.firstChild;
    for (const utterance of this.call.utterances) {
      let row = this.rows.get(utterance.key);
      if (row === undefined) {
        row = rowOf(utterance, places.get(utterance.sessionId) ?? 0, false);
        this.rows.set(utterance.key, row);
        this.said.insertBefore(row, next);
      }
      const title = titleOf(utterance);
      if (row.title !== title) row.title = title;
      next = row.nextSibling;
    }
  }
}

/** @param {Party} party @param {number} place */
function headOf(party, place) {
  const head = element("div", "head");
  head.dataset.place = `${place % 2}`;
  const name = element("h3");
  name.append(element("span", "role", party.role === "unknown" ? `channel ${party.channelNumber}` : party.role));
  if (party.phone) name.append(element("span", "phone", party.phone));
  const state = element("span", "ended");
  name.append(state);
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", "wave"));
  canvas.setAttribute("role", "img");
  const figures = element("p", "figures");
  head.append(name, canvas, figures);
  return { head, canvas, figures, state };
}

/** @param {Utterance} utterance @param {number} place @param {boolean} isInterim */
function rowOf(utterance, place, isInterim) {
  const { text, startMs, note } = utterance;
  const row = element("div", "row");
  const said = element("p", note ? "note" : isInterim ? "text interim" : "text");
  said.style.setProperty("--place", `${place + 1}`);
  said.dataset.place = `${place % 2}`;
  said.dir = "auto";
  said.append(element("time", "at", timeText(startMs)), element("span", "words", text));
  row.append(said);
  return row;
}

/** @param {Utterance} utterance */
function titleOf({ confidence, latencyMs, note }) {
  if (note) return "";
  return `confidence ${confidence.toFixed(2)}${latencyMs === undefined ? "" : `, latency ${Math.round(latencyMs)} ms`}`;
}
