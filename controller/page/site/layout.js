// Where everything is in the picture, as a function of what there is. The unit is
// a pixel at scale 1.

import { MOST as BESIDE, placeAround } from "./around.js";
import { byID, keyOf, nameOf, subnet } from "./model.js";

const CELL = { w: 190, h: 28, second: 16, gap: 6 }; // of a machine; the second line is for IPv6
const HEAD = 52; // of a network's card, above its machines
const PAD = 10;
const ROUTER = { w: 168, h: 56 };
const LINK = 130; // between the rims of what is joined
const BETWEEN = 50; // between what is not
const MOST = 40; // machines of a card; the last cell stands for all others

// layout returns { nodes, edges, byKey, box }. A node is a router or a network with the
// middle of its card. A network has its ports, which are cells of its card, and rest of
// them that have no cell of their own. The node with the key root, if there is one, is in the
// middle of what hangs together with it; a router there has all other nodes on its networks.
export function layout(world, root) {
  const nodes = new Map();
  const edges = [];
  const legs = world.legs();
  for (const r of sorted(world.routers)) {
    nodes.set(keyOf("router", r.id), { key: keyOf("router", r.id), kind: "router", id: r.id, ...ROUTER, w: wide(nameOf(r)), name: nameOf(r), all: r.all ?? (r.interfaces ?? []).length, x: 0, y: 0, links: [] });
  }
  for (const n of sorted(world.networks)) {
    nodes.set(keyOf("network", n.id), networkNode(n, world.portsOn(n.id), legs.get(n.id) ?? []));
  }
  for (const r of sorted(world.routers)) {
    const a = nodes.get(keyOf("router", r.id));
    for (const iface of r.interfaces ?? []) {
      const b = nodes.get(keyOf("network", iface.network));
      if (!b) continue; // it comes with the next event
      const e = { router: a, network: b, iface, nth: a.links.filter((l) => l.network === b).length };
      edges.push(e);
      a.links.push(e);
      b.links.push(e);
    }
  }
  const islands = islandsOf(nodes);
  const middle = nodes.get(root);
  for (const island of islands) {
    if (middle?.kind === "router" && island.includes(middle) && new Set(middle.links.map((e) => e.network)).size <= BESIDE) placeAround(middle);
    else place(island, middle);
  }
  pack(islands);
  const all = [...nodes.values()];
  return { nodes: all, edges, byKey: nodes, box: boxOf(all) };
}

function sorted(map) {
  return [...map.values()].sort((a, b) => byID(a.id, b.id));
}

// wide is how wide the card of a router is: as wide as its name, within limits.
function wide(name) {
  return Math.min(300, Math.max(ROUTER.w, 84 + 9 * name.length));
}

function networkNode(n, ports, legs) {
  const shown = ports.length > MOST ? MOST - 1 : ports.length;
  const cells = Math.min(ports.length, MOST);
  const two = ports.slice(0, shown).some((p) => secondLine(p));
  const cell = { w: CELL.w, h: CELL.h + (two ? CELL.second : 0), gap: CELL.gap };
  const columns = Math.max(1, Math.round(Math.sqrt((cells * cell.h * 1.5) / cell.w)));
  const rows = Math.ceil(cells / columns);
  const w = columns * (cell.w + cell.gap) - cell.gap + 2 * PAD;
  const h = ports.length ? HEAD + rows * (cell.h + cell.gap) - cell.gap + PAD : HEAD + 4;
  const subnets = [...new Set(legs.flatMap((l) => l.iface.addresses.map(subnet)))];
  return { key: keyOf("network", n.id), kind: "network", id: n.id, name: nameOf(n), more: n.more ?? 0, w: Math.max(w, 168), h, x: 0, y: 0, links: [], ports: ports.slice(0, shown), rest: ports.length - shown, count: ports.length, columns, rows, cell, subnets };
}

// secondLine returns the address of a machine that is on the second line of its cell:
// its first IPv6 address.
export function secondLine(port) {
  return (port.addresses ?? []).find((a) => a.includes(":"));
}

// cellOf returns the ith cell of a network: the box of a machine, given by its corner.
export function cellOf(node, i) {
  const { cell } = node;
  const inner = node.columns * (cell.w + cell.gap) - cell.gap;
  return {
    x: node.x - inner / 2 + (i % node.columns) * (cell.w + cell.gap),
    y: node.y - node.h / 2 + HEAD + Math.floor(i / node.columns) * (cell.h + cell.gap),
    w: cell.w,
    h: cell.h,
  };
}

// cellAt returns which cell of a network is at a point, or -1.
export function cellAt(node, x, y) {
  const c = cellOf(node, 0);
  const column = Math.floor((x - c.x) / (c.w + node.cell.gap));
  const i = Math.floor((y - c.y) / (c.h + node.cell.gap)) * node.columns + column;
  return column >= 0 && column < node.columns && y >= c.y && i < node.ports.length + (node.rest > 0) ? i : -1;
}

// indexOf returns the cell of a machine on a network, or -1. One that has none of its own
// is in the last.
export function indexOf(node, id) {
  const i = node.ports.findIndex((p) => p.id === id);
  return i < 0 && node.rest > 0 ? node.ports.length : i;
}

// islandsOf returns what hangs together, each by ID.
function islandsOf(nodes) {
  const seen = new Set();
  const islands = [];
  for (const first of nodes.values()) {
    if (seen.has(first)) continue;
    seen.add(first);
    const island = [first];
    for (let i = 0; i < island.length; i++) {
      for (const e of island[i].links) {
        const other = e.router === island[i] ? e.network : e.router;
        if (!seen.has(other)) {
          seen.add(other);
          island.push(other);
        }
      }
    }
    islands.push(island);
  }
  return islands;
}

// place lays an island out as a tree that grows from its middle or, if that is elsewhere,
// from what has the most links. Each branch has a circle for itself, and circles stand in rings around what they
// hang on.
function place(island, middle) {
  const root = island.includes(middle) ? middle : island.reduce((a, b) => (b.links.length > a.links.length ? b : a));
  const tree = new Map([[root, []]]);
  const order = [root];
  for (const n of order) {
    for (const e of n.links) {
      const other = e.router === n ? e.network : e.router;
      if (tree.has(other)) continue;
      tree.set(other, []);
      tree.get(n).push(other);
      order.push(other);
    }
  }
  const branches = new Map();
  for (const n of order.toReversed()) {
    branches.set(n, branchOf(n, tree.get(n).map((c) => branches.get(c)), n === root));
  }
  turn(branches.get(root), island);
}

// turn settles an island so that it is rather wide than high, as windows are, and
// upright if that is as good.
function turn(root, island) {
  let best = 0;
  let least = Infinity;
  for (let k = 0; k < 12; k++) {
    settle(root, 0, 0, (k * Math.PI) / 6);
    const { w, h } = boxOf(island);
    const cost = Math.max(w / 2, h) * (k % 3 ? 1.25 : 1);
    if (cost < least - 1e-6) [best, least] = [k, cost];
  }
  settle(root, 0, 0, (best * Math.PI) / 6);
}

const radius = (n) => Math.hypot(n.w, n.h) / 2;

// branchOf puts branches around a node. A branch has its circle: r, and how far its
// middle is from the node (off), away from what the node hangs on. Angles are
// from that direction.
function branchOf(node, children, isRoot) {
  const hub = radius(node) + LINK;
  const near = children.map((c) => arc(c.r, hub + c.r)).reduce((a, b) => a + b, 0);
  const most = isRoot ? 2 * Math.PI : 2 * Math.PI - 1;
  if (near <= most) fan(node, children, isRoot ? most : Math.max(near, Math.min(most, 0.75 * children.length)), isRoot);
  else rings(children, hub, most);
  return { node, children, isRoot, ...circleOf(node, children) };
}

// fan puts branches on one ring, each as near as it can be.
function fan(node, children, free, isRoot) {
  const arcs = children.map((c) => arc(c.r, radius(node) + LINK + c.r));
  const slack = (free - arcs.reduce((a, b) => a + b, 0)) / children.length;
  let at = isRoot ? (children.length === 2 ? Math.PI : children.length > 2 ? -Math.PI / 2 : 0) - ((arcs[0] ?? 0) + slack) / 2 : -free / 2;
  children.forEach((c, i) => {
    c.share = arcs[i] + slack;
    c.angle = at + c.share / 2;
    at += c.share;
    c.distance = radius(node) + LINK + c.r;
  });
}

// rings puts branches on as many rings as they need, in their order.
function rings(children, hub, free) {
  let inner = hub;
  for (let rest = children; rest.length; ) {
    const ring = [];
    let widest = 0;
    let angle = 0; // that the ring needs
    for (const c of rest) {
      const wider = Math.max(widest, c.r);
      if (wider > widest) angle = ring.reduce((sum, o) => sum + arc(o.r, inner + wider), 0);
      angle += arc(c.r, inner + wider);
      if (ring.length && angle > free) break;
      ring.push(c);
      widest = wider;
    }
    const arcs = ring.map((c) => arc(c.r, inner + widest));
    const slack = Math.max(0, free - arcs.reduce((a, b) => a + b, 0)) / ring.length;
    let at = -free / 2;
    ring.forEach((c, i) => {
      c.share = 0; // they stay on their ring
      c.angle = at + (arcs[i] + slack) / 2;
      c.distance = inner + widest;
      at += arcs[i] + slack;
    });
    inner += 2 * widest + BETWEEN;
    rest = rest.slice(ring.length);
  }
}

// arc is the angle that a circle at a distance takes.
function arc(r, distance) {
  return 2 * Math.asin(Math.min(1, (r + BETWEEN / 3) / distance));
}

// reach is how far a card goes from its middle in a direction.
function reach(n, angle) {
  const [x, y] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
  return Math.min(n.w / 2 / Math.max(x, 1e-9), n.h / 2 / Math.max(y, 1e-9));
}

// circleOf returns a circle around a node and its branches whose middle is on the
// axis of the node.
function circleOf(node, children) {
  const circles = [{ x: 0, y: 0, r: radius(node) }, ...children.map((c) => ({ x: Math.cos(c.angle) * c.distance, y: Math.sin(c.angle) * c.distance, r: c.r }))];
  const around = (off) => Math.max(...circles.map((c) => Math.hypot(c.x - off, c.y) + c.r));
  let [low, high] = [0, Math.max(...circles.map((c) => c.x))];
  for (let i = 0; i < 30; i++) {
    const third = (high - low) / 3;
    if (around(low + third) < around(high - third)) high -= third;
    else low += third;
  }
  return { off: low, r: around(low) };
}

// settle gives the nodes of a branch their places: the middle of its circle is at a
// point, and it grows in a direction. What has nothing behind it comes as near as
// its share of the ring allows.
function settle(b, x, y, towards) {
  b.node.x = x - Math.cos(towards) * b.off;
  b.node.y = y - Math.sin(towards) * b.off;
  for (const c of b.children) {
    const a = towards + c.angle;
    const near = reach(b.node, a) + LINK + reach(c.node, a);
    const d = c.children.length === 0 && arc(c.r, near) <= c.share ? Math.min(near, c.distance) : c.distance;
    settle(c, b.node.x + Math.cos(a) * d, b.node.y + Math.sin(a) * d, a);
  }
}

// pack puts islands side by side in rows: the high ones first, those of a height in
// the order of their IDs, and what is alone last.
function pack(islands) {
  const boxes = islands.map((nodes) => ({ nodes, ...boxOf(nodes) }));
  const height = (b) => Math.ceil(Math.log2(b.h));
  boxes.sort((a, b) => (a.nodes.length === 1) - (b.nodes.length === 1) || height(b) - height(a));
  const gap = 2 * BETWEEN;
  const area = boxes.reduce((sum, b) => sum + (b.w + gap) * (b.h + gap), 0);
  const width = Math.max(Math.sqrt(area * 1.6), ...boxes.map((b) => b.w));
  let x = 0;
  let y = 0;
  let row = 0;
  for (const b of boxes) {
    if (x > 0 && x + b.w > width) {
      x = 0;
      y += row + gap;
      row = 0;
    }
    for (const n of b.nodes) {
      n.x += x - b.x;
      n.y += y - b.y;
    }
    x += b.w + gap;
    row = Math.max(row, b.h);
  }
}

// boxOf returns the smallest box around nodes.
export function boxOf(nodes) {
  if (nodes.length === 0) return { x: 0, y: 0, w: 0, h: 0 };
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const n of nodes) {
    x0 = Math.min(x0, n.x - n.w / 2);
    y0 = Math.min(y0, n.y - n.h / 2);
    x1 = Math.max(x1, n.x + n.w / 2);
    y1 = Math.max(y1, n.y + n.h / 2);
  }
  return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 };
}

// rim returns where a line from the middle of a node towards a point leaves it.
export function rim(node, x, y) {
  const dx = x - node.x;
  const dy = y - node.y;
  if (dx === 0 && dy === 0) return { x: node.x, y: node.y };
  const t = Math.min(node.w / 2 / Math.abs(dx || 1e-9), node.h / 2 / Math.abs(dy || 1e-9), 1);
  return { x: node.x + dx * t, y: node.y + dy * t };
}
