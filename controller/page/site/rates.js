// Rates are differences of two readings of counters.

// WINDOW is how far, in seconds, the older reading may be back. Open vSwitch adds
// its counters up once a second, so that a short one would flicker.
const WINDOW = 5;

// A Rates has the rates of router interfaces, and of ports as far as they are counted.
export class Rates {
  constructor() {
    this.readings = []; // oldest first, as { at, by, ports }
    this.of = new Map(); // by rateKey: { out, in, kernel }
    this.to = new Map(); // by the ID of a port: { bits, packets } that are routed to it
    this.sums = new Map(); // the latest reading, by rateKey
  }

  // add takes a reading of GET /v1/counters. A daemon that has restarted, or a long
  // time without readings, ends what was known before.
  add({ at, interfaces, ports }) {
    const last = this.readings.at(-1);
    if (last && at - last.at < 0.2 && at >= last.at) return; // the same reading
    if (last && (at < last.at || at - last.at > 60)) this.readings = [];
    const now = { at, by: new Map(interfaces.map((i) => [rateKey(i.router, i.interface), i])), ports: portSums(ports) };
    this.readings.push(now);
    while (this.readings.length > 2 && at - this.readings[1].at >= WINDOW - 1) this.readings.shift();
    const first = this.readings[0];
    this.sums = now.by;
    this.of = new Map();
    this.to = new Map();
    if (at === first.at) return;
    for (const [key, i] of now.by) {
      const rate = between(first.by.get(key), i, at - first.at);
      if (rate) this.of.set(key, rate);
    }
    for (const [id, p] of now.ports) {
      const before = first.ports.get(id);
      if (before && before.packets <= p.packets) this.to.set(id, { bits: Math.max(0, ((p.bytes - before.bytes) * 8) / (at - first.at)), packets: (p.packets - before.packets) / (at - first.at) });
    }
  }

  get(router, iface) {
    return this.of.get(rateKey(router, iface)) ?? QUIET;
  }
}

// portSums adds up what several interfaces route to a port.
function portSums(ports) {
  const out = new Map();
  for (const { port, packets: n, bytes } of ports ?? []) {
    const sum = out.get(port) ?? { packets: 0, bytes: 0 };
    out.set(port, { packets: sum.packets + n, bytes: sum.bytes + bytes });
  }
  return out;
}

export function rateKey(router, iface) {
  return router + "\n" + iface;
}

// QUIET is the rate of an interface of which nothing is known.
export const QUIET = { out: { bits: 0, packets: 0 }, in: { bits: 0, packets: 0 }, kernel: 0 };

// between returns the rates between two readings of an interface that are seconds
// apart; undefined if no earlier reading exists, or the counters went back.
export function between(before, now, seconds) {
  if (!before || now.routed_packets < before.routed_packets || now.received_packets < before.received_packets) return undefined;
  const per = (name, factor = 1) => Math.max(0, ((now[name] - before[name]) * factor) / seconds);
  return {
    out: { bits: per("routed_bytes", 8), packets: per("routed_packets") },
    in: { bits: per("received_bytes", 8), packets: per("received_packets") },
    kernel: Math.max(0, (kernel(now) - kernel(before)) / seconds),
  };
}

function kernel(i) {
  return Object.values(i.fallback).reduce((a, b) => a + b, 0);
}

// sum adds rates up.
export function sum(rates) {
  const out = { out: { bits: 0, packets: 0 }, in: { bits: 0, packets: 0 }, kernel: 0 };
  for (const r of rates) {
    for (const way of ["in", "out"]) {
      out[way].bits += r[way].bits;
      out[way].packets += r[way].packets;
    }
    out.kernel += r.kernel;
  }
  return out;
}

const PREFIXES = ["", "k", "M", "G", "T"];

// scaled writes a number with three digits and a prefix: 12.4 M.
export function scaled(n, unit) {
  let i = 0;
  while (n >= 999.5 && i < PREFIXES.length - 1) {
    n /= 1000;
    i++;
  }
  const digits = n >= 99.95 || (i === 0 && n >= 9.95) || n === 0 ? 0 : 1;
  return n.toFixed(digits) + " " + PREFIXES[i] + unit;
}

export const bits = (n) => scaled(n, "b/s");
export const packets = (n) => scaled(n, "pkt/s");

// both writes a rate in bits and packets.
export function both({ bits: b, packets: p }) {
  return bits(b) + " · " + packets(p);
}

// weight is how much a rate weighs to the eye, from 0 to 1: each step of ten counts
// the same, and 100 Gb/s is 1.
export function weight(n) {
  return n <= 0 ? 0 : Math.min(1, Math.max(0.08, (Math.log10(n) - 1) / 10));
}

// lineWidth is how wide, in pixels, a line is that stands for a rate.
export function lineWidth(n) {
  return 1.5 + 7 * weight(n);
}
