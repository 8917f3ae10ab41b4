// The panel beside the picture and the list: all about one object, or about the
// daemon.

import { get, objectPath } from "./api.js";
import { h, pill, sign, write } from "./dom.js";
import { doctorSection } from "./doctor.js";
import { EventList } from "./events.js";
import { flowsSection } from "./flows.js";
import { Listbox } from "./listbox.js";
import { hostHealth, hostText, keyOf, nameOf, overall, parseKey, plural, portHealth, routerHealth, subnet } from "./model.js";
import { both, packets, rateKey, sum } from "./rates.js";
import { Spark } from "./spark.js";
import { zoned } from "./time.js";

const AGAIN = 10000; // ms until the conditions of a port are read again
const KINDS = { router: "Router", network: "Network", port: "Machine" };

// head returns the head of a panel.
export function head(kind, title, close, ...more) {
  return h("div", { class: "head" },
    h("div", {}, h("p", { class: "kind" }, kind), h("h2", {}, title), more),
    h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: close }, sign("bad")));
}

function facts(...pairs) {
  const some = pairs.filter(([, value]) => value !== undefined && value !== "" && value !== null);
  return h("dl", { class: "facts" }, some.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function problems(list) {
  return list?.length ? h("ul", { class: "problems" }, list.map((p) => h("li", {}, sign("warn"), h("span", {}, p)))) : null;
}

// where says where a machine is that is not where it should be, and what to do about it.
function where(machine) {
  if (!["not_seen", "elsewhere"].includes(machine?.state)) return null;
  return h("ul", { class: "problems" }, h("li", {}, sign("warn"), h("div", {}, h("p", {}, machine.says), machine.remedy ? h("p", {}, "→ " + machine.remedy) : null)));
}

export class Detail {
  // page is what the panel is about and what it can do: { world, statuses, status,
  // rates, open, close, trace }.
  constructor(panel, page) {
    Object.assign(this, { panel, page });
    this.live = []; // what shows what changes all the time
  }

  // show fills the panel with an object; false if it does not exist.
  show(key) {
    const { kind, id } = parseKey(key);
    const o = this.page.world.get(key);
    if (!o) return false;
    this.live = [];
    this.machine = null; // where the machine of a port is, once that is known
    const had = this.panel.contains(document.activeElement);
    this.panel.replaceChildren(...this[kind](o, id));
    this.panel.scrollTop = 0;
    if (had) this.panel.focus({ preventScroll: true });
    this.key = key;
    this.shown = this.matter(key);
    let before;
    let asked;
    this.live.push(() => { // the conditions change when that of a router does, and machines come and go
      const now = this.routersOf(kind, o).map((r) => JSON.stringify([r?.state, r?.settled, r?.problems])).join();
      const old = kind === "port" && performance.now() - asked > AGAIN;
      if (now === before && !old) return;
      before = now;
      asked = performance.now();
      this.conditions(kind, id);
    });
    this.refresh();
    if (kind === "router") this.page.history.refresh(id).then((news) => news && this.key === key && this.refresh());
    return true;
  }

  // routersOf returns the status of each router that an object depends on.
  routersOf(kind, o) {
    if (kind === "router") return [this.page.statuses.get(o.id)];
    const legs = this.page.world.legs().get(kind === "port" ? o.network : o.id) ?? [];
    return legs.map((l) => this.page.statuses.get(l.router.id));
  }

  // stale reports whether what is shown has changed, but for what is refreshed. As
  // long as it has not, it is left alone: somebody may be reading, or typing.
  stale() {
    return Boolean(this.key?.includes(":")) && this.shown !== this.matter(this.key);
  }

  // matter is all that the panel of an object shows of the intent, as text.
  matter(key) {
    const { world } = this.page;
    const { kind, id } = parseKey(key);
    const o = world.get(key);
    if (!o || kind === "router") return JSON.stringify(o);
    const legs = world.legs().get(kind === "port" ? o.network : id) ?? [];
    return JSON.stringify([o, legs.map((l) => [l.router.id, l.iface]), kind === "network" ? world.portsOn(id) : null]);
  }

  refresh() {
    for (const f of this.live) f();
  }

  // kept returns an element whose content is what f returns at each refresh, if
  // that is something else than before by its text.
  kept(tag, attributes, f) {
    const el = h(tag, attributes);
    let before = null;
    this.live.push(() => {
      const next = [f()].flat(3).filter(Boolean);
      const text = next.map((n) => n.outerHTML ?? n).join("");
      if (text === before) return;
      before = text;
      el.replaceChildren(...next);
    });
    return el;
  }

  head(kind, id, health) {
    const name = nameOf(this.page.world.get(keyOf(kind, id)) ?? { id });
    return head(KINDS[kind], name, this.page.close, name === id ? null : h("p", { class: "small" }, "ID " + id), this.kept("p", {}, () => pill(health())));
  }

  link(kind, id) {
    return h("button", { type: "button", class: "link", onclick: () => this.page.open(keyOf(kind, id)) }, nameOf(this.page.world.get(keyOf(kind, id)) ?? { id }));
  }

  // conditions asks how far the object has come.
  async conditions(kind, id) {
    const box = this.panel.querySelector(".conditions");
    try {
      const { body } = await get(objectPath(kind, id) + "/status");
      if (body.machine && this.key === keyOf(kind, id)) {
        this.machine = body.machine;
        this.refresh();
      }
      const level = (c) => (c.type === "Degraded" ? (c.status === "True" ? "warn" : "ok") : c.status === "True" ? "ok" : "busy");
      const words = (c) => (c.status === "True" ? "" : "not ") + c.type.toLowerCase();
      box.replaceChildren(
        h("ul", {}, body.conditions.map((c) => h("li", {}, sign(level(c)), h("span", {}, words(c), c.message ? h("span", { class: "reason" }, c.message) : "")))),
        body.source ? h("p", { class: "source" }, "From ", h("code", {}, body.source)) : "");
    } catch (e) {
      box.replaceChildren(h("p", { class: "says bad" }, e.message));
    }
  }

  conditionsBox() {
    return h("section", {}, h("h3", {}, "Conditions"), h("div", { class: "conditions" }, h("p", { class: "says" }, "Loading…")));
  }

  // traffic returns a table of the rates of legs, as { router, iface }, with what
  // to call each.
  traffic(legs, name) {
    if (legs.length === 0) return null;
    const { page } = this;
    const row = ({ router, iface }) => {
      const rate = () => page.rates.get(router.id, iface.id);
      const spark = new Spark({ width: 110, height: 22, name: `Routed out of interface ${iface.id}` });
      this.live.push(() => {
        const known = page.history.interfaces.get(rateKey(router.id, iface.id));
        spark.el.toggleAttribute("hidden", !known?.out.length);
        if (known) spark.set(known.out, known.in);
      });
      return h("tr", {}, h("th", { scope: "row" }, name({ router, iface }), iface.addresses.map((a) => h("span", { class: "small" }, a)), spark.el),
        this.kept("td", {}, () => both(rate().out)), this.kept("td", {}, () => both(rate().in)));
    };
    const kernel = () => {
      const k = sum(legs.map((l) => page.rates.get(l.router.id, l.iface.id))).kernel;
      return k > 0 ? h("span", {}, sign("busy"), ` ${packets(k)} handed to the kernel`) : "Nothing is handed to the kernel.";
    };
    return h("section", {}, h("h3", {}, "Traffic"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Traffic" }, h("table", {}, h("thead", {}, h("tr", {}, ["Interface", "Out", "In"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, legs.map(row)))),
      this.kept("p", { class: "says" }, kernel), this.answered(legs));
  }

  answered(legs) {
    const sum = (of) => legs.reduce((n, l) => n + of(this.page.rates.sums.get(rateKey(l.router.id, l.iface.id)) ?? {}), 0).toLocaleString("en");
    const total = (name) => sum((i) => i[name] ?? 0);
    const limited = (i) => Object.values(i.limited ?? {}).reduce((a, b) => a + b, 0);
    return this.kept("div", {}, () => facts(["ARP answered", total("arp_replies")], ["ND answered", total("nd_replies")], ["Pings answered", total("echo_replies")],
      ["TTL expired", total("ttl_expired")], ["Dropped by rate limits", sum(limited)]));
  }

  router(r, id) {
    const { page } = this;
    const status = () => page.statuses.get(id);
    const legs = (r.interfaces ?? []).map((iface) => ({ router: r, iface }));
    const routes = r.routes ?? [];
    return [
      this.head("router", id, () => routerHealth(status())),
      this.kept("div", {}, () => problems(status()?.problems)),
      this.kept("section", {}, () => {
        const s = status();
        return [h("h3", {}, "Status"), s ? facts(
          ["Bridge", s.bridge + (s.managed ? "" : " (external)")], ["State", s.state], ["Flows", `${s.flows_installed.toLocaleString("en")} of ${s.flows_wanted.toLocaleString("en")} confirmed`],
          ["Refused", s.flows_refused ? s.flows_refused : ""], ["Of other programs", s.flows_foreign ? s.flows_foreign : ""],
          [s.connected ? "Connected since" : "Disconnected since", s.since ? zoned(s.since) : ""],
          ["Datapath ID", s.datapath_id], ["Switch can", (s.capabilities ?? []).join(", ")]) : h("p", { class: "says" }, "Not known yet.")];
      }),
      this.conditionsBox(),
      this.traffic(legs, ({ iface }) => this.link("network", iface.network)),
      routes.length ? h("section", {}, h("h3", {}, "Routes"), facts(...routes.map((x) => [x.destination, x.type ?? (x.nexthop ? "via " + x.nexthop : "via " + (x.nexthops ?? []).map((n) => n.address).join(", "))]))) : null,
      this.events(id),
      flowsSection([id], () => true),
    ].filter(Boolean);
  }

  events(router) {
    const list = new EventList({ router, open: this.page.open, most: 20 });
    this.live.push(() => list.refresh());
    return list.el;
  }

  network(n, id) {
    const { world } = this.page;
    const legs = world.legs().get(id) ?? [];
    const ports = world.portsOn(id);
    const worstOf = () => {
      const bad = legs.map((l) => routerHealth(this.page.statuses.get(l.router.id))).find((x) => x.level !== "ok");
      return legs.length === 0 ? { level: "idle", word: "no router" } : bad ? { level: bad.level, word: "router " + bad.word } : { level: "ok", word: "routed" };
    };
    const routers = [...new Set(legs.map((l) => l.router.id))];
    const theirs = new Set([...legs.map((l) => l.iface.id), ...ports.map((p) => p.id)]);
    return [
      this.head("network", id, worstOf),
      h("section", {}, h("h3", {}, "Network"), facts(["VLAN", n.vlan ?? (n.vni ? "chosen by each host" : "set by another agent")], ["VNI", n.vni], ["Broadcast", n.vni && (n.broadcast ?? "all")], ["MTU", (n.mtu ?? 1500) + " bytes"], ["Subnets", [...new Set(legs.flatMap((l) => l.iface.addresses.map(subnet)))].join(", ")],
        ["IPv4 scope", n.ipv4_scope], ["IPv6 scope", n.ipv6_scope])),
      this.conditionsBox(),
      this.traffic(legs, ({ router }) => this.link("router", router.id)),
      this.members(ports),
      flowsSection(routers, (f) => theirs.has(f.id)),
    ].filter(Boolean);
  }

  members(ports) {
    const box = new Listbox({
      label: "Machines",
      rowHeight: 32,
      most: 8,
      make: () => h("div", { class: "member" }, h("span", { class: "id" }), h("span", { class: "address" })),
      fill: (row, p) => {
        write(row.children[0], nameOf(p));
        write(row.children[1], (p.addresses ?? []).join(", "));
      },
      chosen: (p) => this.page.open(keyOf("port", p.id)),
    });
    box.set(ports);
    return h("section", {}, h("h3", {}, plural(ports.length, "machine")), box.el);
  }

  port(p, id) {
    const legs = this.page.world.legs().get(p.network) ?? [];
    return [
      this.head("port", id, () => portHealth(p, this.machine?.state ?? this.page.machines.of(id))),
      this.kept("div", {}, () => where(this.machine)),
      h("div", { class: "line start" }, h("button", { type: "button", onclick: () => this.page.trace({ from: id }) }, "Trace from here"), h("button", { type: "button", onclick: () => this.page.trace({ to: id }) }, "Trace to here")),
      h("section", {}, h("h3", {}, "Machine"), facts(["Network", this.link("network", p.network)], ["Host", p.host], ["MAC address", h("code", {}, p.mac)], ["Addresses", p.addresses?.length ? p.addresses.map((a) => h("code", { class: "address" }, a)) : "none"],
        ["Allowed address pairs", (p.allowed_address_pairs ?? []).map((q) => q.address + (q.mac ? ` (${q.mac})` : "")).join(", ")],
        ["Routers", legs.length ? [...new Set(legs.map((l) => l.router.id))].map((r) => [this.link("router", r), " "]) : "none"])),
      this.kept("section", {}, () => {
        const to = this.page.rates.to.get(id);
        return to ? [h("h3", {}, "Traffic"), facts(["Routed to it", both(to)])] : null;
      }),
      this.conditionsBox(),
      flowsSection([...new Set(legs.map((l) => l.router.id))], (f) => f.kind === "port" && f.id === id),
    ];
  }

  // about fills the panel with what is true of the daemon as a whole.
  about() {
    const { page } = this;
    if (this.key === "daemon:") return;
    this.live = [];
    this.key = "daemon:";
    this.shown = this.matter(this.key);
    const source = (name, s) => s && [name, h("span", {}, h("code", {}, s.name), h("span", { class: "small" }, `${s.hosts ? plural(s.hosts, "host") + ", " : ""}${plural(s.networks, "network")}, ${plural(s.routers, "router")}, ${plural(s.ports, "port")}; read ${zoned(s.loaded)}`), (s.warnings ?? []).map((w) => h("span", { class: "reason" }, w)))];
    this.panel.replaceChildren(
      head("Daemon", "Status", page.close, this.kept("p", {}, () => pill(overall(page.status)))),
      this.kept("div", {}, () => {
        const s = page.status;
        if (!s) return h("p", { class: "says" }, "Not known yet.");
        const routers = s.routers.filter((r) => routerHealth(r).level !== "ok");
        return [
          problems([...(s.problems ?? []), ...(s.warnings ?? [])]),
          h("section", {}, h("h3", {}, "Intent"), facts(["Revision", s.intent.revision.toLocaleString("en")], ...[source("File", s.intent.file), source("Store", s.intent.store)].filter(Boolean),
            ["Open vSwitch", s.ovsdb ? `${s.ovsdb.endpoint}, ${s.ovsdb.connected ? "connected" : "not connected"}` : "none configured"])),
          s.hosts?.length ? h("section", {}, h("h3", {}, "Hosts"), facts(...s.hosts.map((o) => [page.world.hosts.get(o.id)?.name ?? o.id, h("span", {}, pill(hostHealth(o)), h("span", { class: "reason" }, hostText(o)), (o.problems ?? []).map((p) => h("span", { class: "reason" }, p)))]))) : null,
          routers.length ? h("section", {}, h("h3", {}, "Routers with problems"), h("ul", { class: "ill" }, routers.slice(0, 50).map((r) => h("li", {}, pill(routerHealth(r)), this.link("router", r.id), (r.problems ?? []).map((p) => h("span", { class: "reason" }, p)))),
            routers.length > 50 ? h("li", {}, `and ${routers.length - 50} more; the list can be sorted by state`) : null)) : null,
        ];
      }),
      doctorSection("h3"));
    this.panel.scrollTop = 0;
    this.refresh();
  }
}
