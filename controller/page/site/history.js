// The rates of the last 15 minutes, as the daemon keeps them.

import { Problem, get } from "./api.js";
import { rateKey } from "./rates.js";

const BUSIEST = 20; // routers that are read

export class History {
  constructor() {
    this.interval = 15;
    this.total = { in: [], out: [], kernel: [] };
    this.routers = []; // busiest first
    this.interfaces = new Map(); // of one router, by rateKey
    this.read = -Infinity; // when
    this.router = null; // whose interfaces were read
  }

  // refresh reads the history if there is a newer sample, or another router is shown.
  async refresh(router, now = performance.now()) {
    const old = now - this.read > this.interval * 1000;
    if (!old && this.router === router) return false;
    try {
      const [all, one] = await Promise.all([old ? get("/v1/history", { limit: BUSIEST }) : null, router ? get("/v1/history", { router }) : null]);
      if (all) {
        this.interval = all.body.interval;
        this.total = all.body.total;
        this.routers = all.body.routers;
        this.read = now;
      }
      this.interfaces = new Map((one?.body.interfaces ?? []).map((x) => [rateKey(x.router, x.interface), x]));
      this.router = router;
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      return false; // the next poll tries again
    }
    return true;
  }
}
