// The frame of the page: totals, the list of calls, and the call that is looked at.
import { partiesOf, percentile } from "./call-book.js";
import { CallView } from "./call-view.js";
import { element, stateText, timeText } from "./dom.js";

/** @typedef {import("./call-book.js").Call} Call */
/** @typedef {import("./call-book.js").CallBook} CallBook */

const milliseconds = (/** @type {number | undefined} */ ms) => (ms === undefined ? "–" : `${Math.round(ms)} ms`);

/** Shows a book of calls. */
export class PageView {
  /** @param {Document} page @param {CallBook} book */
  constructor(page, book) {
    this.book = book;
    this.id = (/** @type {string} */ id) => /** @type {HTMLElement} */ (page.getElementById(id));
    /** @type {Map<string, { item: HTMLElement, button: HTMLElement, parts: HTMLElement[], version: number }>} */
    this.items = new Map();
    /** @type {CallView | undefined} */
    this.view = undefined;
    this.isChosen = false;
  }

  /** Brings the page to what the book knows. */
  update() {
    const calls = [...this.book.calls.values()];
    const live = calls.filter(({ state }) => state === "live");
    const parties = live.flatMap((call) => [...call.parties.values()].filter(({ state }) => state === "live"));
    this.id("num-calls").textContent = `${live.length}`;
    this.id("num-parties").textContent = `${parties.length}`;
    this.id("p50").textContent = milliseconds(percentile(this.book.latencies, 0.5));
    this.id("p95").textContent = milliseconds(percentile(this.book.latencies, 0.95));
    this.id("no-calls").hidden = calls.length > 0;
    this.#updateList([...live.reverse(), ...calls.filter(({ state }) => state !== "live").reverse()]);
    const shown = this.view && this.book.calls.get(this.view.call.id);
    if (!shown || (!this.isChosen && shown.state !== "live" && live.length > 0)) this.#show(live[0] ?? calls[0], false);
    this.view?.update();
  }

  /** @param {Call | undefined} call @param {boolean} isChosen */
  #show(call, isChosen) {
    if (!call) return;
    this.isChosen = isChosen;
    if (this.view?.call === call) return;
    this.view = new CallView(this.id("call"), call);
    for (const [id, { button }] of this.items) button.setAttribute("aria-current", `${id === call.id}`);
    this.view.update();
  }

  /** @param {Call[]} calls */
  #updateList(calls) {
    const list = this.id("calls");
    for (const [id, { item }] of this.items) {
      if (this.book.calls.has(id)) continue;
      item.remove();
      this.items.delete(id);
    }
    calls.forEach((call, place) => {
      const known = this.items.get(call.id) ?? this.#createItem(call);
      if (list.children[place] !== known.item) list.insertBefore(known.item, list.children[place] ?? null);
      if (known.version === call.version) return;
      known.version = call.version;
      const [name, state, last] = known.parts;
      const heardMs = Math.max(0, ...partiesOf(call).map((party) => party.heardMs));
      name.textContent = call.id;
      state.textContent = call.state === "live" ? timeText(heardMs) : stateText(call.state);
      known.button.dataset.state = call.state === "live" ? "live" : "ended";
      const interim = partiesOf(call).find((party) => party.interim)?.interim;
      last.textContent = (interim ?? call.utterances.at(-1))?.text.slice(-200) ?? "";
      last.classList.toggle("interim", interim !== undefined);
    });
  }

  /** @param {Call} call */
  #createItem(call) {
    const item = element("li");
    const button = element("button");
    const parts = ["name", "clock", "last"].map((name) => element("span", name));
    parts[2].dir = "auto";
    button.append(...parts);
    button.setAttribute("aria-current", `${this.view?.call === call}`);
    button.addEventListener("click", () => this.#show(call, true));
    item.append(button);
    const known = { item, button, parts, version: -1 };
    this.items.set(call.id, known);
    return known;
  }
}
