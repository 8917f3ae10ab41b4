// The trace: a form, and the paths of a packet and of its reply as text.

import { get } from "./api.js";
import { attr, h, pill, write } from "./dom.js";
import { head } from "./detail.js";
import { plural } from "./model.js";

const VERDICTS = { switched: "ok", routed: "ok", answered: "ok", kernel: "busy", dropped: "bad", unknown: "warn" };
const PROTOS = ["icmp", "tcp", "udp", "sctp"];

export class Trace {
  // found is called with the paths that were found and the request.
  constructor({ panel, page, found }) {
    Object.assign(this, { panel, page, found });
    this.asked = { proto: "icmp" };
  }

  // show fills the panel, with what is to be asked added to what was asked before. If
  // both ends are known it asks.
  show(more) {
    this.asked = { ...this.asked, ...more };
    const a = this.asked;
    const places = h("datalist", { id: "places" });
    const field = (name, label, attributes) => h("label", { class: "field" }, h("span", {}, label), h("input", { name, value: a[name], autocomplete: "off", spellcheck: "false", ...attributes }));
    const suggest = (e) => {
      const hits = e.target.value ? this.page.finder.find(e.target.value, 12, "port") : [];
      places.replaceChildren(...hits.map((hit) => h("option", { value: hit.id }, (hit.object.addresses ?? []).join(", "))));
    };
    const ends = { type: "text", required: true, list: "places", oninput: suggest, placeholder: "ID or IP address" };
    const select = h("select", { name: "proto" }, PROTOS.map((p) => h("option", { value: p, selected: p === a.proto }, p.toUpperCase())));
    const ports = ["sport", "dport"].map((name, i) => field(name, i ? "To port" : "From port", { type: "number", min: 0, max: 65535, placeholder: "any" }));
    const adapt = () => ports.forEach((p) => (p.hidden = select.value === "icmp"));
    select.addEventListener("change", adapt);
    adapt();
    this.result = h("div", { class: "ways", role: "status" });
    this.form = h("form", { class: "trace", onsubmit: (e) => this.submit(e) },
      field("from", "From", ends), field("to", "To", ends), places,
      h("div", { class: "three" }, h("label", { class: "field" }, h("span", {}, "Protocol"), select), field("size", "Bytes", { type: "number", min: 20, max: 65535, placeholder: 84 }), field("ttl", "TTL", { type: "number", min: 0, max: 255, placeholder: 64 })),
      h("div", { class: "two" }, ports),
      h("div", { class: "line start" }, h("button", { type: "submit", class: "primary" }, "Trace"), h("button", { type: "button", onclick: () => this.swap() }, "Swap ends")));
    this.panel.replaceChildren(head("Trace", "Path of a packet", this.page.close), this.form, this.result);
    this.panel.scrollTop = 0;
    if (a.from && a.to) this.ask();
    const empty = [...this.form.elements].find((el) => el.required && !el.value);
    (empty ?? this.form.elements.from).focus();
  }

  swap() {
    const { from, to } = this.form.elements;
    [from.value, to.value] = [to.value, from.value];
  }

  submit(e) {
    e.preventDefault();
    this.asked = Object.fromEntries([...new FormData(this.form)].map(([k, v]) => [k, v.trim()]).filter(([, v]) => v !== ""));
    if (this.asked.proto === "icmp") {
      delete this.asked.sport;
      delete this.asked.dport;
    }
    this.ask();
  }

  async ask() {
    const asked = this.asked;
    const { result } = this;
    result.replaceChildren(h("p", { class: "says" }, "Following the packet…"));
    try {
      const { body } = await get("/v1/trace", asked);
      if (asked !== this.asked) return; // something else has been asked meanwhile
      result.replaceChildren(...body.paths.map((w, i) => this.way(w, i)));
      this.found(body.paths, asked);
    } catch (e) {
      result.replaceChildren(h("p", { class: "says bad" }, e.message));
      this.found([], asked);
    }
  }

  way(w, i) {
    const name = (end) => end.port ?? (end.router ? "router " + end.router : end.address);
    return h("section", { class: "way " + (i ? "back" : "there") },
      h("h3", {}, h("span", { class: "stroke", "aria-hidden": "true" }), i ? "Reply: " : "", `${name(w.from)} → ${name(w.to)}`),
      h("p", { class: "line start" }, pill({ level: VERDICTS[w.verdict], word: w.verdict }), h("span", { class: "small" }, w.packet)),
      h("p", {}, w.says[0].toUpperCase() + w.says.slice(1)),
      w.assumed ? h("p", { class: "says bad" }, w.remark || "The bridge is not connected: this is what its flows should do.") : null,
      w.steps.length ? h("ol", { class: "steps" }, w.steps.map((st) => h("li", {}, h("details", {}, h("summary", {}, h("span", { class: "does" }, st.does),
        h("span", { class: "meta" }, `table ${st.table} · priority ${st.priority} · ` + (st.held ? plural(st.packets, "packet") : "not in the switch"))), h("pre", { tabindex: 0, "aria-label": "Flow" }, st.flow))))) : null,
      w.exits.map((e) => h("dl", { class: "facts" }, [["Out of", e.interface], ["Into network", e.network], ["To", e.port], ["By a tunnel to", e.host], ["MAC addresses", `${e.eth_src} → ${e.eth_dst}`], ["TTL", e.ttl]].filter(([, v]) => v).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))))));
  }
}
