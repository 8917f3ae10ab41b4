// The overview: what is broken, what is busiest, and what has happened, as tables.

import { doctorSection } from "./doctor.js";
import { attr, h, pill, sign, write } from "./dom.js";
import { EventList } from "./events.js";
import { byID, hostHealth, keyOf, nameOf, plural, routerHealth } from "./model.js";
import { bits, both, packets, sum } from "./rates.js";
import { Spark } from "./spark.js";

const ROWS = 10; // of a table
const RANK = { bad: 0, warn: 1, busy: 2 };

// broken returns the routers that are not well, the worst first.
export function broken(statuses) {
  const all = statuses.map((r) => ({ r, health: routerHealth(r) })).filter((x) => x.health.level in RANK);
  return all.sort((a, b) => RANK[a.health.level] - RANK[b.health.level] || byID(a.r.id, b.r.id)).map((x) => x.r);
}

// busiest returns the IDs of the routers that have routed most in the last 15 minutes, and
// without a history those that route most now.
export function busiest(world, rates, history) {
  const known = history.routers.filter((s) => world.routers.has(s.router) && s.out.some((v) => v > 0)).map((s) => s.router);
  if (known.length) return known;
  const now = [...world.routers.values()].map((r) => [r.id, sum((r.interfaces ?? []).map((f) => rates.get(r.id, f.id))).out.bits]);
  return now.filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1] || byID(a[0], b[0])).map(([id]) => id);
}

export class Overview {
  // page has the world, the statuses, the rates and the history; list shows the list of
  // routers by their state.
  constructor(el, page, { open, list }) {
    Object.assign(this, { el, page, open, list });
    this.total = new Spark({ width: 300, height: 64, name: "Routed by all routers", classes: "large" });
    this.now = h("p", { class: "figure" });
    this.most = h("p", { class: "small" });
    this.broken = new Table("Routers that are not well", ["Router", "State", "Problem"], () => this.brokenRow());
    this.busy = new Table("Busiest routers", ["Router", "Routed now", "Last 15 minutes", "To the kernel"], () => this.busyRow());
    this.missing = h("button", { type: "button", class: "link", onclick: () => list("port") });
    this.more = h("button", { type: "button", class: "link", onclick: () => list("router") });
    this.events = new EventList({ open, most: 50 });
    this.problems = h("ul", { class: "problems" });
    this.hosts = new Table("Hosts", ["Host", "State", "Reached by", "Machines"], () => this.hostRow());
    el.append(
      this.problems,
      h("div", { class: "columns" },
        h("div", { class: "column" }, h("section", { class: "card" }, h("h2", {}, "Not well"), this.broken.el, this.more, this.seen = h("p", {}, sign("warn"), " ", this.missing)),
          h("div", { class: "card" }, doctorSection()),
          this.hostCard = h("section", { class: "card" }, h("h2", {}, "Hosts"), this.hosts.el, this.moreHosts = h("p", { class: "small" }))),
        h("div", { class: "column" }, h("section", { class: "card" }, h("h2", {}, "Traffic"), this.now, this.total.el, this.most), h("section", { class: "card" }, h("h2", {}, "Busiest"), this.busy.el))),
      h("div", { class: "card" }, this.events.el));
  }

  get shown() {
    return !this.el.hidden;
  }

  brokenRow() {
    const open = h("button", { type: "button", class: "link" });
    const cells = [h("th", { scope: "row" }, open), h("td"), h("td", { class: "text" })];
    open.addEventListener("click", () => this.open(keyOf("router", open.dataset.id)));
    return { el: h("tr", {}, cells), open, cells };
  }

  hostRow() {
    const cells = [h("th", { scope: "row" }), h("td"), h("td", { class: "text" }), h("td", { class: "number" })];
    return { el: h("tr", {}, cells), cells };
  }

  busyRow() {
    const open = h("button", { type: "button", class: "link" });
    const state = h("span", { class: "state" });
    const spark = new Spark({ name: "Routed" });
    const cells = [h("th", { scope: "row" }, state, open), h("td", { class: "number" }), h("td", { class: "curve" }, spark.el), h("td", { class: "number" })];
    open.addEventListener("click", () => this.open(keyOf("router", open.dataset.id)));
    return { el: h("tr", {}, cells), open, state, spark, cells };
  }

  // draw shows what is known now.
  draw() {
    if (!this.shown) return;
    const { world, status, rates, history, machines } = this.page;
    const name = (id) => nameOf(world.routers.get(id) ?? { id });
    const problems = [...(status?.problems ?? []), ...(status?.warnings ?? [])];
    this.problems.hidden = !problems.length;
    if (this.saidProblems !== problems.join("\n")) {
      this.saidProblems = problems.join("\n");
      this.problems.replaceChildren(...problems.slice(0, ROWS).map((p) => h("li", {}, sign("warn"), h("span", {}, p))));
    }
    this.seen.hidden = !machines.missing;
    const { not_seen: not = 0, elsewhere = 0 } = machines.counts ?? {};
    write(this.missing, `${plural(not, "machine")} not seen, ${elsewhere.toLocaleString("en")} seen elsewhere`);
    const ill = broken(status?.routers ?? []);
    this.broken.fill(ill.slice(0, ROWS), (row, r) => {
      const health = routerHealth(r);
      title(row.open, r.id, name(r.id));
      if (row.word !== health.word) row.cells[1].replaceChildren(pill(health));
      row.word = health.word;
      write(row.cells[2], r.problems?.[0] ?? "");
    }, world.routers.size === 1 ? "The router is well." : `All ${plural(world.routers.size, "router")} are well.`);
    this.more.hidden = ill.length <= ROWS;
    write(this.more, `and ${ill.length - ROWS} more`);
    this.busy.fill(busiest(world, rates, history).slice(0, ROWS), (row, id) => {
      const r = world.routers.get(id);
      const now = sum((r?.interfaces ?? []).map((f) => rates.get(id, f.id)));
      const health = routerHealth(this.page.statuses.get(id));
      title(row.open, id, name(id));
      if (row.level !== health.level) row.state.replaceChildren(sign(health.level));
      row.level = health.level;
      write(row.cells[1], bits(now.out.bits));
      row.spark.name = `Routed by ${name(id)}`;
      row.spark.set(history.routers.find((s) => s.router === id)?.out ?? []);
      write(row.cells[3], now.kernel > 0 ? packets(now.kernel) : "–");
    }, "Nothing was routed in the last 15 minutes.");
    this.drawHosts(world, status?.hosts ?? []);
    const all = sum([...rates.of.values()]);
    write(this.now, `Routed now: ${both(all.out)}`);
    this.total.set(history.total.out);
    const kernel = all.kernel > 0 ? packets(all.kernel) + " handed to the kernel" : "Nothing is handed to the kernel";
    write(this.most, `${kernel}. ${history.total.out.length ? `The curve has the last ${minutes(history)}, up to ${bits(Math.max(0, ...history.total.out))}.` : "There is no history yet."}`);
  }

  // drawHosts shows the hosts: this one and those that are not well first.
  drawHosts(world, hosts) {
    const rank = (o) => (o.self ? 0 : hostHealth(o).level === "warn" ? 1 : 2);
    this.hostCard.hidden = hosts.length === 0;
    this.hosts.fill(hosts.toSorted((a, b) => rank(a) - rank(b) || byID(a.id, b.id)).slice(0, ROWS), (row, o) => {
      const health = hostHealth(o);
      write(row.cells[0], nameOf(world.hosts.get(o.id) ?? o));
      if (row.word !== health.word + health.level) row.cells[1].replaceChildren(pill(health));
      row.word = health.word + health.level;
      write(row.cells[2], [o.tunnel, o.uplink].filter(Boolean).join(", ") || "–");
      write(row.cells[3], o.self || o.tunnel ? o.machines.toLocaleString("en") : "–");
    }, "");
    this.moreHosts.hidden = hosts.length <= ROWS;
    write(this.moreHosts, `and ${hosts.length - ROWS} more`);
  }

  refreshEvents() {
    if (this.shown) this.events.refresh();
  }
}

function minutes({ total, interval }) {
  const n = Math.round((total.out.length * interval) / 60);
  return n < 1 ? "minute" : plural(n, "minute");
}

function title(button, id, name) {
  write(button, name);
  attr(button, "data-id", id);
  attr(button, "data-tip", name === id ? false : "Router " + id);
}

// A Table reuses its rows, so that the focus stays where it is.
class Table {
  constructor(name, heads, make) {
    this.make = make;
    this.rows = [];
    this.body = h("tbody");
    this.none = h("p", { class: "says" });
    this.table = h("table", { "aria-label": name }, h("thead", {}, h("tr", {}, heads.map((t) => h("th", { scope: "col" }, t)))), this.body);
    this.el = h("div", {}, this.table, this.none);
  }

  fill(items, show, none) {
    while (this.rows.length < items.length) {
      this.rows.push(this.make());
      this.body.append(this.rows.at(-1).el);
    }
    while (this.rows.length > items.length) this.rows.pop().el.remove();
    items.forEach((item, i) => show(this.rows[i], item));
    this.table.hidden = items.length === 0;
    this.none.hidden = items.length > 0;
    write(this.none, none);
  }
}
