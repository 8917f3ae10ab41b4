// Events: what has changed, was repaired or was refused lately.

import { Problem, get } from "./api.js";
import { attr, h, sign, write } from "./dom.js";
import { keyOf } from "./model.js";
import { stamp, zone } from "./time.js";

const LEVELS = { warn: "warn", error: "bad" };
// An EventList shows the latest events, the newest first.
export class EventList {
  // most is how many are read. router limits them to those about it; open is called with the
  // key of a router.
  constructor({ router, open, most }) {
    Object.assign(this, { router, open, most });
    this.list = h("ol", { class: "events" });
    this.box = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": router ? "Events of the router" : "Events" }, this.list);
    this.says = h("p", { class: "says" }, "Reading the events…");
    const only = h("input", { type: "checkbox" });
    only.addEventListener("change", () => {
      this.level = only.checked ? "warn" : "info";
      this.refresh();
    });
    this.level = "info";
    this.el = h("section", { class: "log" }, h("div", { class: "line" }, h(router ? "h3" : "h2", {}, "Events"), h("label", { class: "check" }, only, "only warnings and errors")), this.says, this.box);
  }

  async refresh() {
    const query = { limit: this.most, level: this.level };
    if (this.router) query.router = this.router;
    try {
      const { body } = await get("/v1/events", query);
      if (query.level === this.level) this.show(body.events);
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      write(this.says, e.message);
    }
  }

  show(events) {
    write(this.says, events.length ? `Newest first. Times are ${zone()}.` : "No events.");
    const last = [events.at(-1)?.time, events.at(-1)?.seq, events.length, this.level].join();
    if (this.last === last) return;
    this.last = last;
    this.list.replaceChildren(...events.toReversed().map((e) => this.row(e)));
    this.box.hidden = events.length === 0;
  }

  row(e) {
    const fields = Object.entries(e.fields ?? {}).map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`).join("  ");
    const about = e.router && !this.router ? h("button", { type: "button", class: "link", onclick: () => this.open(keyOf("router", e.router)) }, e.router) : null;
    const el = h("li", {}, LEVELS[e.level] ? sign(LEVELS[e.level]) : h("span", { class: "dot" }), h("div", {}, h("p", {}, h("span", { class: "hidden" }, e.level + ": "), e.message, about ? [" (", about, ")"] : null), h("p", { class: "small" }, h("time", { datetime: e.time }, stamp(e.time)), fields ? "  " + fields : "")));
    attr(el, "class", e.level);
    return el;
  }
}
