// The list: all objects as a table, for eyes, keyboard and screen readers.

import { attr, h, sign, write } from "./dom.js";
import { LEVELS, addressesOf, byID, nameOf, plural, portHealth, routerHealth, worst } from "./model.js";
import { Rates, bits, sum } from "./rates.js";
import { Rows, step } from "./rows.js";

const KINDS = { router: "router", network: "network", port: "machine" };

const COLUMNS = [
  { id: "id", title: "Name" },
  { id: "kind", title: "Kind" },
  { id: "state", title: "State" },
  { id: "place", title: "Networks" },
  { id: "addresses", title: "Addresses" },
  { id: "out", title: "Out" },
  { id: "in", title: "In" },
];

export class List {
  // open is called with the key of the object to be shown.
  constructor({ grid, listed, open }) {
    Object.assign(this, { grid, listed, open });
    this.rates = new Rates();
    this.statuses = new Map();
    this.items = [];
    this.kind = "";
    this.only = "";
    this.order = { by: "id", up: true };
    this.at = 0;
    this.selected = null;
    this.heads = COLUMNS.map((c, i) => h("div", { role: "columnheader", "aria-colindex": i + 1, class: "cell " + c.id },
      h("button", { type: "button", onclick: () => this.sort(c.id) }, c.title, h("span", { class: "sorted", "aria-hidden": "true" }))));
    grid.append(h("div", { role: "rowgroup", class: "head" }, h("div", { role: "row", "aria-rowindex": 1, class: "row" }, this.heads)));
    attr(grid, "aria-colcount", COLUMNS.length);
    this.rows = new Rows(grid, 34, () => this.make(), (row, i) => this.fill(row, i));
    grid.addEventListener("keydown", (e) => this.key(e));
    grid.addEventListener("focus", () => this.mark());
  }

  setWorld(world, finder) {
    this.world = world;
    this.finder = finder;
    this.legs = world.legs();
    this.refresh();
  }

  setRates(rates) {
    this.rates = rates;
    if (this.order.by === "in" || this.order.by === "out") this.refresh();
    else this.rows.set(this.items.length);
  }

  setStatuses(routers) {
    this.statuses = new Map(routers.map((r) => [r.id, r]));
    if (this.order.by === "state") this.refresh();
    else this.rows.set(this.items.length);
  }

  setMachines(machines) {
    this.machines = machines;
    if (this.order.by === "state") this.refresh();
    else this.rows.set(this.items.length);
  }

  filter(kind, only) {
    this.kind = kind;
    this.only = only;
    this.at = 0;
    this.grid.scrollTop = 0;
    this.refresh();
  }

  sort(by) {
    this.sortBy(by, this.order.by === by ? !this.order.up : !["in", "out", "state"].includes(by));
  }

  sortBy(by, up) {
    this.order = { by, up };
    this.refresh();
  }

  refresh() {
    if (!this.finder) return;
    const key = this.items[this.at]?.key;
    this.items = this.finder.find(this.only, Infinity, this.kind);
    const { by, up } = this.order;
    if (by !== "id" || !up || this.only) {
      const value = new Map(this.items.map((e) => [e, this.value(e, by)]));
      this.items.sort((a, b) => {
        const [x, y] = [value.get(a), value.get(b)];
        return (typeof x === "number" ? x - y : byID(x, y)) * (up ? 1 : -1) || byID(a.id, b.id);
      });
    }
    this.at = Math.max(0, this.items.findIndex((e) => e.key === key));
    COLUMNS.forEach((c, i) => {
      attr(this.heads[i], "aria-sort", c.id === by && (up ? "ascending" : "descending"));
      write(this.heads[i].querySelector(".sorted"), c.id === by ? (up ? "▲" : "▼") : "");
    });
    attr(this.grid, "aria-rowcount", this.items.length + 1);
    write(this.listed, this.items.length === this.finder.entries.length ? plural(this.items.length, "object") : `${plural(this.items.length, "object")} of ${this.finder.entries.length.toLocaleString("en")}`);
    this.rows.set(this.items.length);
    this.mark();
  }

  value(e, by) {
    switch (by) {
      case "id":
        return nameOf(e.object);
      case "kind":
        return KINDS[e.kind];
      case "state":
        return LEVELS.indexOf(this.health(e).level);
      case "place":
        return this.place(e);
      case "addresses":
        return addressesOf(e.kind, e.object)[0] ?? "";
      default:
        return this.rate(e)?.[by]?.bits ?? -1;
    }
  }

  health(e) {
    if (e.kind === "router") return routerHealth(this.statuses.get(e.id));
    if (e.kind === "port") return portHealth(e.object, this.machines?.of(e.id));
    const legs = this.legs.get(e.id) ?? [];
    if (legs.length === 0) return { level: "idle", word: "no router" };
    const level = worst(legs.map((l) => routerHealth(this.statuses.get(l.router.id)).level));
    return level === "ok" ? { level, word: "routed" } : { level, word: "see its routers" };
  }

  place(e) {
    if (e.kind === "router") return (e.object.interfaces ?? []).map((f) => f.network).join(", ");
    if (e.kind === "port") return e.object.network;
    return plural(this.world.on.get(e.id)?.size ?? 0, "machine");
  }

  // rate has of machines only what is routed to them, of those with the most; what
  // each sends is not counted.
  rate(e) {
    if (e.kind === "router") return sum((e.object.interfaces ?? []).map((f) => this.rates.get(e.id, f.id)));
    if (e.kind === "network") return sum((this.legs.get(e.id) ?? []).map((l) => this.rates.get(l.router.id, l.iface.id)));
    const out = this.rates.to.get(e.id);
    return out && { out };
  }

  make() {
    const cells = COLUMNS.map((c, i) => h("div", { role: "gridcell", "aria-colindex": i + 1, class: "cell " + c.id }));
    const row = h("div", { role: "row", class: "row item" }, cells);
    row.addEventListener("click", () => {
      this.at = Number(row.dataset.i);
      this.mark();
      this.open(this.items[this.at].key);
    });
    return row;
  }

  fill(row, i) {
    const e = this.items[i];
    if (!e) return;
    row.id = "row-" + i;
    attr(row, "aria-rowindex", i + 2);
    attr(row, "aria-selected", e.key === this.selected);
    row.classList.toggle("at", i === this.at);
    const health = this.health(e);
    const rate = this.rate(e);
    const text = {
      id: nameOf(e.object),
      kind: KINDS[e.kind],
      place: this.place(e),
      addresses: addressesOf(e.kind, e.object).join(", "),
      out: rate ? bits(rate.out.bits) : "",
      in: rate?.in ? bits(rate.in.bits) : "",
    };
    COLUMNS.forEach((c, k) => {
      const cell = row.children[k];
      if (c.id === "state") {
        if (cell.dataset.level !== health.level) {
          cell.replaceChildren(sign(health.level), h("span"));
          cell.dataset.level = health.level;
        }
        write(cell.lastChild, health.word);
        return;
      }
      write(cell, text[c.id]);
      attr(cell, "title", text[c.id].length > 18 && text[c.id]);
    });
  }

  select(key) {
    this.selected = key;
    const i = this.items.findIndex((e) => e.key === key);
    if (i >= 0) this.at = i;
    this.rows.set(this.items.length);
    if (i >= 0) this.rows.reveal(i);
    this.mark();
  }

  mark() {
    for (const [i, row] of this.rows.used) row.classList.toggle("at", i === this.at);
    attr(this.grid, "aria-activedescendant", this.rows.used.has(this.at) && "row-" + this.at);
  }

  key(e) {
    if (e.target !== this.grid) return;
    const to = step(e.key, this.at, this.items.length, this.rows.page);
    if (to !== undefined) {
      e.preventDefault();
      this.at = to;
      this.rows.reveal(to);
      this.mark();
    } else if ((e.key === "Enter" || e.key === " ") && this.items[this.at]) {
      e.preventDefault();
      this.open(this.items[this.at].key);
    }
  }
}
