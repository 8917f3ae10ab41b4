// The neighbourhood of a router: what the picture shows of many routers.

import { World, byID, keyOf, nameOf, parseKey, plural } from "./model.js";

export const WHOLE = 10; // with more routers, the picture shows a neighbourhood
export const NEIGHBOURS = 12; // other routers in a neighbourhood, at most

// near returns the part of a world around a router: the networks that it is on, with
// their machines, and other routers on them, with their links to these networks alone.
// Around a network it has that network. A network tells how many routers are left out
// (more), and a router how many interfaces it has (all).
export function near(world, key) {
  const { kind, id } = parseKey(key);
  const out = new World();
  out.ports = world.ports;
  out.on = world.on;
  const self = world.get(key);
  if (!self) return out;
  if (kind === "router") out.routers.set(id, { ...self, all: (self.interfaces ?? []).length });
  for (const network of kind === "router" ? new Set((self.interfaces ?? []).map((f) => f.network)) : [id]) {
    if (world.networks.has(network)) out.networks.set(network, { ...world.networks.get(network), more: 0 });
  }
  const others = [...world.routers.values()].filter((r) => r !== self && (r.interfaces ?? []).some((f) => out.networks.has(f.network))).sort((a, b) => byID(a.id, b.id));
  others.forEach((r, i) => {
    const there = r.interfaces.filter((f) => out.networks.has(f.network));
    if (i < NEIGHBOURS) out.routers.set(r.id, { ...r, interfaces: there, all: r.interfaces.length });
    else for (const n of new Set(there.map((f) => f.network))) out.networks.get(n).more++;
  });
  return out;
}

// centreOf returns the key of what a neighbourhood with an object is around: the first
// router on its network, or without one its network. It is undefined if there is no such
// object.
export function centreOf(world, key) {
  const { kind, id } = parseKey(key ?? "");
  if (kind === "router") return world.routers.has(id) ? key : undefined;
  const network = kind === "port" ? world.ports.get(id)?.network : id;
  if (!world.networks.has(network)) return undefined;
  let first;
  for (const r of world.routers.values()) {
    if ((r.interfaces ?? []).some((f) => f.network === network) && (!first || byID(r.id, first) < 0)) first = r.id;
  }
  return first === undefined ? keyOf("network", network) : keyOf("router", first);
}

// holds reports whether an object is in a neighbourhood.
export function holds(part, key) {
  const { kind, id } = parseKey(key ?? "");
  return kind === "port" ? part.networks.has(part.ports.get(id)?.network) : Boolean(part.get(key));
}

// words says what a neighbourhood has.
export function words(world, part, key) {
  const { kind, id } = parseKey(key);
  const others = part.routers.size - (kind === "router");
  const networks = plural(part.networks.size, "network");
  return `Around ${kind} ${nameOf(world.get(key) ?? { id })}: ${networks}${others ? ` and ${plural(others, kind === "router" ? "other router" : "router")}` : ""}, of ${plural(world.routers.size, "router")} in all`;
}
