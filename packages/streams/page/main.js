// Joins the gateway's events to the page. Events come in bursts: the page is drawn once for each frame of the screen.
import { CallBook } from "./call-book.js";
import { PageView } from "./view.js";

const TYPES = "session-started session-ended interim final level gap failed transcript call-ended";
/** A gateway that refuses a viewer (too many of them, or none there) is asked again after so long. */
const RETRY_MS = 3000;

const book = new CallBook();
const view = new PageView(document, book);
let isScheduled = false;

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    view.update();
  });
}

/** @param {"connecting" | "live" | "lost"} state */
function tell(state) {
  const link = /** @type {HTMLElement} */ (document.getElementById("link"));
  link.dataset.state = state;
  link.textContent = state === "lost" ? "no connection, trying again" : state;
}

function connect() {
  const source = new EventSource("/events");
  source.addEventListener("calls", (event) => {
    tell("live");
    book.reset(JSON.parse(event.data));
    schedule();
  });
  for (const type of TYPES.split(" ")) {
    source.addEventListener(type, (event) => {
      book.take(JSON.parse(event.data));
      schedule();
    });
  }
  source.addEventListener("error", () => {
    tell("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(connectOrLogIn, RETRY_MS);
  });
}

/** A gateway that was started again with another token shows its form for it. */
async function connectOrLogIn() {
  const answer = await fetch("/calls").catch(() => undefined);
  if (answer?.status === 401) location.reload();
  else connect();
}

globalThis.addEventListener("resize", () => {
  if (view.view) view.view.version = -1;
  schedule();
});
connect();
