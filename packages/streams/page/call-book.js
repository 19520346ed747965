// What is known of all calls, from the gateway's events. No DOM here: tests feed it events and look.

/**
 * @typedef {{ key: string, sessionId: string, text: string, confidence: number, startMs: number, endMs: number,
 *   latencyMs?: number, note?: boolean }} Utterance
 * @typedef {{ sessionId: string, channelNumber: number, role: string, phone: string, state: string, heardMs: number,
 *   rmsDb: number | undefined, interim: Utterance | undefined, peaks: { endMs: number, values: number[] }[],
 *   latencies: number[] }} Party
 * @typedef {{ id: string, parties: Map<string, Party>, utterances: Utterance[], state: string, startedAtMs: number,
 *   version: number }} Call
 */

/** Sound behind one value of a level's `peaks`. */
export const PEAK_MS = 25;
/** How much of the sound is shown. */
export const WINDOW_MS = 30_000;
/** Ended calls that stay on the page. */
const MAX_ENDED = 30;
/** Utterances of a call that stay on the page; the gateway keeps the rest. */
const MAX_UTTERANCES = 2000;
/** Latencies that percentiles are of. */
const MAX_LATENCIES = 500;

/** All calls that are live, and the last ones that ended. */
export class CallBook {
  constructor() {
    /** @type {Map<string, Call>} */
    this.calls = new Map();
    /** @type {number[]} */
    this.latencies = [];
  }

  /** Takes one event of the feed; gives the call that it changed. @param {any} event @returns {Call | undefined} */
  take(event) {
    const call = this.#call(event.callId, event.atMs);
    if (event.type === "call-ended") this.#end(call, event.reason);
    else if (event.type === "transcript") addUtterance(call, event.utterance);
    else this.#takeOfParty(call, partyOf(call, event), event);
    call.version++;
    return call;
  }

  /** Takes the state that every connection begins with. What it does not list has ended meanwhile. @param {any[]} live */
  reset(live) {
    const ids = new Set(live.map(({ callId }) => callId));
    for (const call of this.calls.values()) {
      if (call.state === "live" && !ids.has(call.id)) this.#end(call, "missed");
    }
    for (const { callId, parties, transcript } of live) {
      const call = this.#call(callId, Date.now());
      call.state = "live";
      const open = new Set(parties.map((/** @type {any} */ { sessionId }) => sessionId));
      for (const party of call.parties.values()) {
        party.interim = undefined;
        if (party.state === "live" && !open.has(party.sessionId)) party.state = "missed";
      }
      for (const party of parties) {
        const known = partyOf(call, party);
        known.state = "live";
        known.heardMs = Math.max(known.heardMs, party.heardSec * 1000);
      }
      for (const utterance of transcript) addUtterance(call, utterance);
      call.version++;
    }
  }

  /** @param {Call} call @param {Party} party @param {any} event */
  #takeOfParty(call, party, event) {
    if (event.type === "level") {
      party.rmsDb = event.rmsDb;
      party.heardMs = event.endMs;
      party.peaks.push({ endMs: event.endMs, values: event.peaks });
      while (party.peaks[0].endMs < event.endMs - WINDOW_MS) party.peaks.shift();
    } else if (event.type === "interim") {
      party.interim = event.text === "" ? undefined : { ...event, key: "interim" };
      this.#latency(party, event);
    } else if (event.type === "final") {
      party.interim = undefined;
      if (event.text === "") return;
      addUtterance(call, event);
      this.#latency(party, event);
    } else if (event.type === "gap") {
      note(call, party, `${event.numMissing} chunks never came (${Math.round(event.missingMs)} ms)`);
    } else if (event.type === "failed") {
      party.state = "failed";
      note(call, party, `${event.code}: ${event.message}`);
    } else if (event.type === "session-ended") {
      party.interim = undefined;
      party.state = event.reason;
    } else if (event.type === "session-started") {
      party.state = "live";
      // An id that was used before: the call is there again.
      call.state = "live";
    }
  }

  /** @param {Party} party @param {any} event */
  #latency(party, { text, latencyMs }) {
    if (text === "" || !(latencyMs >= 0)) return;
    for (const list of [party.latencies, this.latencies]) {
      list.push(latencyMs);
      if (list.length > MAX_LATENCIES) list.shift();
    }
  }

  /** @param {string} id @param {number} atMs @returns {Call} */
  #call(id, atMs) {
    let call = this.calls.get(id);
    if (call === undefined) {
      call = { id, parties: new Map(), utterances: [], state: "live", startedAtMs: atMs, version: 0 };
      this.calls.set(id, call);
    }
    return call;
  }

  /** @param {Call} call @param {string} reason */
  #end(call, reason) {
    call.state = reason;
    call.version++;
    for (const party of call.parties.values()) {
      party.interim = undefined;
      if (party.state === "live") party.state = reason;
    }
    const ended = [...this.calls.values()].filter(({ state }) => state !== "live");
    for (const old of ended.slice(0, -MAX_ENDED)) this.calls.delete(old.id);
  }
}

/** @param {Call} call @param {any} ref @returns {Party} */
function partyOf(call, { sessionId, channelNumber, channelRole, phoneNumber = "" }) {
  let party = call.parties.get(sessionId);
  if (party === undefined) {
    party = {
      sessionId,
      channelNumber,
      role: channelRole,
      phone: phoneNumber || phoneOf(sessionId),
      state: "live",
      heardMs: 0,
      rmsDb: undefined,
      interim: undefined,
      peaks: [],
      latencies: [],
    };
    call.parties.set(sessionId, party);
  }
  return party;
}

/** The phone number that a session id tells. @param {string} id */
const phoneOf = (id) => new URLSearchParams(id.includes("?") ? id.slice(id.indexOf("?") + 1) : "").get("phone") ?? "";

/** Puts an utterance where it belongs by its time; one that is there (told as a final before) stays. @param {Call} call @param {any} said */
function addUtterance(call, said) {
  partyOf(call, said);
  const { sessionId, text, confidence, startMs, endMs, latencyMs } = said;
  const key = JSON.stringify([sessionId, startMs, endMs, text]);
  const known = call.utterances.findLast((one) => one.key === key);
  if (known) {
    // The transcript knows no latency, and may tell of an utterance first.
    known.latencyMs ??= latencyMs;
    return;
  }
  insert(call, { key, sessionId, text, confidence, startMs, endMs, latencyMs });
}

/** @param {Call} call @param {Party} party @param {string} text */
function note(call, party, text) {
  const { sessionId, heardMs } = party;
  const key = JSON.stringify(["note", sessionId, heardMs, text]);
  insert(call, { key, sessionId, text, confidence: 0, startMs: heardMs, endMs: heardMs, note: true });
}

/** @param {Call} call @param {Utterance} utterance */
function insert(call, utterance) {
  const after = call.utterances.findLastIndex(({ startMs }) => startMs <= utterance.startMs);
  call.utterances.splice(after + 1, 0, utterance);
  if (call.utterances.length > MAX_UTTERANCES) call.utterances.shift();
}

/** A call's parties in the order of their channels. @param {Call} call */
export const partiesOf = (call) =>
  [...call.parties.values()].sort((a, b) => a.channelNumber - b.channelNumber || (a.sessionId < b.sessionId ? -1 : 1));

/** The value that a share of all values does not exceed; undefined of none. @param {number[]} values @param {number} share */
export function percentile(values, share) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
