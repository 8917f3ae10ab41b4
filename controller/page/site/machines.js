// Whether the machines of ports are on the integration bridge.

import { Problem, get } from "./api.js";

const EVERY = 10000; // ms between two readings, at least
const LISTED = 5000; // machines of a state that are listed, at most
const PAGE = 1000; // of one answer

// STATES are the states of machines that are not where they should be.
const STATES = ["not_seen", "elsewhere", "unknown"];

// A Machines knows how many machines are in each state, and which ones are not seen.
export class Machines {
  constructor() {
    this.counts = null; // null: not known
    this.not = new Map(); // by the port's ID: { state, says, remedy }
    this.partly = false; // not all are listed
    this.read = -Infinity; // when
  }

  // of returns the state of a port's machine, undefined while it is not known.
  of(port) {
    const m = this.not.get(port);
    if (m) return m.state;
    if (!this.counts || this.partly) return undefined;
    return this.counts.seen + this.counts.not_seen + this.counts.elsewhere === 0 ? "unknown" : "seen";
  }

  // missing is how many machines are not where they should be.
  get missing() {
    return this.counts ? this.counts.not_seen + this.counts.elsewhere : 0;
  }

  // refresh reads the states again if they are old, and returns whether it did.
  async refresh(now = performance.now()) {
    if (now - this.read < EVERY) return false;
    this.read = now;
    try {
      const { body: counts } = await get("/v1/machines/counts");
      const not = new Map();
      let partly = false;
      const known = counts.seen + counts.not_seen + counts.elsewhere > 0;
      for (const state of known ? STATES : []) {
        let after = "";
        for (let n = 0; counts[state] > 0 && after !== undefined; n += PAGE) {
          if (n >= LISTED) {
            partly = true;
            break;
          }
          const { body } = await get("/v1/machines", { state, limit: PAGE, ...(after ? { after } : {}) });
          for (const m of body.items) not.set(m.port, m);
          after = body.next;
        }
      }
      Object.assign(this, { counts, not, partly });
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      return false; // the next poll tries again
    }
    return true;
  }
}
