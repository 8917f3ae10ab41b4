// What things are, in words: for the tip at the pointer, and for screen readers.

import { nameOf, parseKey, plural, portHealth, routerHealth, subnet } from "./model.js";
import { both, packets, sum } from "./rates.js";

const MOST = 6; // lines for interfaces

// describe returns { title, lines } for an object or a link, whose key is
// link:ROUTER\nINTERFACE; undefined if none exists. page has the world, the statuses
// and the rates.
export function describe(page, key) {
  const { kind, id } = parseKey(key);
  if (kind === "link") return link(page, ...id.split("\n"));
  const o = page.world.get(key);
  const what = o && { router, network, port }[kind](page, o);
  if (o?.name) what.lines.unshift("ID " + o.id);
  return what;
}

function traffic(rate) {
  const quiet = rate.in.packets + rate.out.packets === 0;
  return [quiet ? "no traffic" : `in ${both(rate.in)}, out ${both(rate.out)}`, rate.kernel > 0 ? `${packets(rate.kernel)} handed to the kernel` : ""];
}

function router({ statuses, rates }, r) {
  const interfaces = r.interfaces ?? [];
  const status = statuses.get(r.id);
  return {
    title: `Router ${nameOf(r)}`,
    lines: [
      [routerHealth(status).word, ...(status?.problems ?? []).slice(0, 2)].join(": "),
      plural(interfaces.length, "interface"),
      ...interfaces.slice(0, MOST).map((f) => `${f.network}: ${f.addresses.join(", ")}`),
      interfaces.length > MOST ? `and ${interfaces.length - MOST} more` : "",
      ...traffic(sum(interfaces.map((f) => rates.get(r.id, f.id)))),
    ].filter(Boolean),
  };
}

function network({ world }, n) {
  const legs = world.legs().get(n.id) ?? [];
  const subnets = [...new Set(legs.flatMap((l) => l.iface.addresses.map(subnet)))];
  return {
    title: `Network ${nameOf(n)}`,
    lines: [plural(world.on.get(n.id)?.size ?? 0, "machine"), n.vlan === undefined ? "" : `VLAN ${n.vlan}`, subnets.join(", "), legs.length ? plural(new Set(legs.map((l) => l.router.id)).size, "router") : "no router"].filter(Boolean),
  };
}

function port({ rates, machines }, p) {
  const to = rates.to.get(p.id);
  return { title: `Machine ${nameOf(p)}`, lines: [portHealth(p, machines.of(p.id)).word, ...(p.addresses ?? []), p.mac, to ? `routed to it ${both(to)}` : ""].filter(Boolean) };
}

function link({ world, rates }, router, iface) {
  const r = world.routers.get(router);
  const f = r?.interfaces?.find((x) => x.id === iface);
  return f && { title: `Interface of router ${nameOf(r)} on network ${f.network}`, lines: [...f.addresses, f.mac, ...traffic(rates.get(router, iface))].filter(Boolean) };
}
