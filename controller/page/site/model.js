// What there is: hosts, networks, routers and ports, kept in line with the intent.
// Nothing here knows of the document or of time.

// byID compares IDs as people count: r2 is before r10.
export function byID(a, b) {
  const [x, y] = [sortKey(a), sortKey(b)];
  return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0;
}

const sortKeys = new Map();

// sortKey returns a text that sorts like an ID: numbers begin with how long they are.
function sortKey(id) {
  let key = sortKeys.get(id);
  if (key === undefined) {
    if (sortKeys.size > 200000) sortKeys.clear();
    key = id.toLowerCase().replace(/0*(\d+)/g, (_, digits) => "0" + String.fromCharCode(32 + digits.length) + digits);
    sortKeys.set(id, key);
  }
  return key;
}

// keyOf names an object among all others, and parseKey reads such a name.
export function keyOf(kind, id) {
  return kind + ":" + id;
}

export function parseKey(key) {
  const at = key.indexOf(":");
  return { kind: key.slice(0, at), id: key.slice(at + 1) };
}

// nameOf returns what to call an object: its name, if it has one, or its ID.
export function nameOf(o) {
  return o.name || o.id;
}

// A World is the intent.
export class World {
  constructor(topology = {}, revision = 0) {
    this.revision = revision;
    this.hosts = new Map();
    this.networks = new Map();
    this.routers = new Map();
    this.ports = new Map();
    this.on = new Map(); // by network: its ports, by ID
    for (const o of topology.hosts ?? []) this.hosts.set(o.id, o);
    for (const n of topology.networks ?? []) this.networks.set(n.id, n);
    for (const r of topology.routers ?? []) this.routers.set(r.id, r);
    for (const p of topology.ports ?? []) this.putPort(p);
  }

  // change applies an event of the API. It returns whether what is joined to what
  // has changed.
  change({ revision, kind, id, op, object }) {
    this.revision = Math.max(this.revision, revision);
    if (kind === "port") {
      const before = this.ports.get(id);
      if (op === "deleted") this.dropPort(id);
      else this.putPort(object);
      return before?.network !== this.ports.get(id)?.network;
    }
    const all = this.all(kind);
    if (op === "deleted") all.delete(id);
    else all.set(id, object);
    return kind !== "host";
  }

  putPort(p) {
    this.dropPort(p.id);
    this.ports.set(p.id, p);
    let on = this.on.get(p.network);
    if (!on) this.on.set(p.network, (on = new Map()));
    on.set(p.id, p);
  }

  dropPort(id) {
    const p = this.ports.get(id);
    if (!p) return;
    this.ports.delete(id);
    const on = this.on.get(p.network);
    on.delete(id);
    if (on.size === 0) this.on.delete(p.network);
  }

  get empty() {
    return this.networks.size + this.routers.size + this.ports.size === 0;
  }

  all(kind) {
    return { host: this.hosts, network: this.networks, router: this.routers, port: this.ports }[kind];
  }

  get(key) {
    const { kind, id } = parseKey(key);
    return this.all(kind)?.get(id);
  }

  // portsOn returns the ports on a network, by ID.
  portsOn(network) {
    return [...(this.on.get(network)?.values() ?? [])].sort((a, b) => byID(a.id, b.id));
  }

  // legs returns the interfaces on each network, as { router, iface }.
  legs() {
    const out = new Map();
    for (const router of this.routers.values()) {
      for (const iface of router.interfaces ?? []) {
        if (!out.has(iface.network)) out.set(iface.network, []);
        out.get(iface.network).push({ router, iface });
      }
    }
    return out;
  }
}

// subnet returns the network part of a prefix: 10.0.1.0/24 of 10.0.1.1/24, fd00::/64 of
// fd00::1/64.
export function subnet(prefix) {
  const [address, bits] = prefix.split("/");
  if (address.includes(":")) return address.includes(".") ? prefix : subnet6(address, Number(bits));
  const n = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  const first = n - (n % size);
  return [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join(".") + "/" + bits;
}

function subnet6(address, bits) {
  const [head, tail] = address.split("::").map((part) => (part ? part.split(":") : []));
  const zeros = tail ? Array(8 - head.length - tail.length).fill("0") : [];
  const groups = [...head, ...zeros, ...(tail ?? [])].map((g, i) => {
    const kept = Math.min(16, Math.max(0, bits - 16 * i));
    return (parseInt(g, 16) & (0xffff << (16 - kept)) & 0xffff).toString(16);
  });
  return shorten(groups) + "/" + bits;
}

// shorten writes the longest run of zero groups as "::" (RFC 5952).
function shorten(groups) {
  let [best, length] = [0, 1];
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (groups[i + n] === "0") n++;
    if (n > length) [best, length] = [i, n];
  }
  if (length === 1) return groups.join(":");
  return groups.slice(0, best).join(":") + "::" + groups.slice(best + length).join(":");
}

// addressesOf returns all addresses of an object, in words.
export function addressesOf(kind, o) {
  if (kind === "router") return (o.interfaces ?? []).flatMap((f) => f.addresses);
  if (kind === "port") return [...(o.addresses ?? []), ...(o.allowed_address_pairs ?? []).map((p) => p.address)];
  return [];
}

function macsOf(kind, o) {
  if (kind === "router") return (o.interfaces ?? []).map((f) => f.mac);
  if (kind === "port") return [o.mac, ...(o.allowed_address_pairs ?? []).map((p) => p.mac ?? "")];
  return [];
}

// A Finder finds objects by what is in their IDs, MAC and IP addresses.
export class Finder {
  constructor(world) {
    this.entries = [];
    for (const kind of ["router", "network", "port"]) {
      for (const o of [...world.all(kind).values()].sort((a, b) => byID(a.id, b.id))) {
        const names = kind === "router" ? (o.interfaces ?? []).map((f) => f.id) : [];
        const text = [o.id, ...(o.name ? [o.name] : []), ...names, ...macsOf(kind, o), ...addressesOf(kind, o)].join("\n").toLowerCase();
        this.entries.push({ key: keyOf(kind, o.id), kind, id: o.id, object: o, text });
      }
    }
  }

  // find returns at most limit entries that have what: those first whose ID it is,
  // then those of which an ID or an address begins with it, then the others.
  find(what, limit = Infinity, kind = "") {
    const q = what.trim().toLowerCase();
    const ranks = [[], [], []];
    for (const e of this.entries) {
      if (kind && e.kind !== kind) continue;
      const at = e.text.indexOf(q);
      if (at < 0) continue;
      const rank = e.id.toLowerCase() === q ? 0 : at === 0 || e.text.includes("\n" + q) ? 1 : 2;
      ranks[rank].push(e);
    }
    return q === "" ? this.entries.filter((e) => !kind || e.kind === kind).slice(0, limit) : ranks.flat().slice(0, limit);
  }
}

// LEVELS are the levels of health, from good to bad.
export const LEVELS = ["ok", "idle", "busy", "warn", "bad"];

export function worst(levels) {
  return levels.reduce((a, b) => (LEVELS.indexOf(b) > LEVELS.indexOf(a) ? b : a), "ok");
}

// routerHealth says how a router is, as { level, word }. status is undefined while
// nothing is known.
export function routerHealth(status) {
  if (!status) return { level: "busy", word: "not known yet" };
  if (!status.connected) return { level: "bad", word: "disconnected" };
  if (status.state === "standby") return { level: "idle", word: "standby" };
  if (status.state === "degraded" || status.problems?.length) return { level: "warn", word: status.state === "degraded" ? "degraded" : "problems" };
  return status.settled ? { level: "ok", word: "settled" } : { level: "busy", word: status.state };
}

// hostHealth says how another host is, or this one, from its entry in the status.
export function hostHealth(o) {
  if (o.self) return o.problems?.length ? { level: "warn", word: "this host" } : { level: "ok", word: "this host" };
  if (!o.tunnel) return { level: "idle", word: "not known" };
  if (!o.alive) return { level: "warn", word: "silent" };
  if (o.deaf) return { level: "warn", word: "one-way" };
  return o.problems?.length ? { level: "warn", word: "alive, with problems" } : { level: "ok", word: "alive" };
}

// hostText says how packets reach a host, and how many machines are there if that is known.
export function hostText(o) {
  const by = [o.tunnel && `tunnel ${o.tunnel}`, o.uplink && `uplink ${o.uplink}`].filter(Boolean);
  return [by.join(", ") || "no tunnel and no uplink", ...(o.self || o.tunnel ? [plural(o.machines, "machine")] : [])].join(", ");
}

// SEEN says how a machine is, by its state on the integration bridge.
const SEEN = {
  seen: { level: "ok", word: "seen" },
  not_seen: { level: "warn", word: "not seen" },
  elsewhere: { level: "warn", word: "seen elsewhere" },
  unknown: { level: "idle", word: "not looked for" },
};

// portHealth says how a port is. seen is the state of its machine on the integration bridge,
// undefined while that is not known.
export function portHealth(port, seen) {
  if (port.admin_state === "down") return { level: "idle", word: "down" };
  if (port.bound === false) return { level: "idle", word: "not bound" };
  return SEEN[seen] ?? { level: "busy", word: "not known yet" };
}

// overall says how everything is. status is that of the daemon.
export function overall(status) {
  if (!status) return { level: "busy", word: "Loading" };
  if (status.standby) return { level: "idle", word: "Standing by" };
  const levels = status.routers.map((r) => routerHealth(r));
  const count = (level) => levels.filter((l) => l.level === level).length;
  const of = ` of ${plural(status.routers.length, "router")} `;
  if (count("bad")) return { level: "bad", word: count("bad") + of + "disconnected" };
  if (status.ovsdb && !status.ovsdb.connected) return { level: "bad", word: "No Open vSwitch" };
  if (status.problems?.length) return { level: "warn", word: plural(status.problems.length, "problem") };
  if (count("warn")) return { level: "warn", word: count("warn") + of + "degraded" };
  return status.settled ? { level: "ok", word: "Settled" } : { level: "busy", word: "Working" };
}

// plural returns n with a noun, and its digits in groups.
export function plural(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}
