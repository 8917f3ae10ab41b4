// What lies between the cards of a picture: links, what goes over them, and the ways
// of packets.

import { FLOWS, FONT, FULL, LINES, arrow, box, measured } from "./brush.js";
import { sign } from "./cards.js";
import { rim } from "./layout.js";
import { bits, both, lineWidth, weight } from "./rates.js";

const WAYS = ["accent", "back-way"]; // colours of a packet and of its answer

export function edges(picture, c, now) {
  const { camera } = picture;
  picture.flowing = false;
  const px = 1 / camera.scale;
  c.lineCap = "round";
  c.strokeStyle = picture.colours.wire;
  c.lineWidth = Math.max(1.5, px);
  c.beginPath();
  const busy = [];
  for (const e of picture.layout.edges) {
    const { router: a, network: b } = e;
    if (!camera.sees((a.x + b.x) / 2, (a.y + b.y) / 2, Math.abs(a.x - b.x) + 1, Math.abs(a.y - b.y) + 1)) continue;
    const o = offset(e);
    const rate = picture.rates.get(a.id, e.iface.id);
    if (rate.in.bits + rate.out.bits > 0) {
      busy.push([e, rate, o]);
      continue;
    }
    c.moveTo(a.x + o.x, a.y + o.y);
    c.lineTo(b.x + o.x, b.y + o.y);
  }
  c.stroke();
  c.globalAlpha = picture.ways.length ? 0.4 : 1; // the way of a packet is what counts then
  for (const [e, rate, o] of busy) {
    if (camera.scale < FLOWS) {
      stream(picture, c, e, o, rate.in.bits + rate.out.bits, px);
      continue;
    }
    picture.flowing = true;
    flow(picture, c, e.router, e.network, o, rate.out.bits, now, px);
    flow(picture, c, e.network, e.router, o, rate.in.bits, now, px);
  }
  c.globalAlpha = 1;
  c.setLineDash([]);
  c.lineCap = "butt";
}

// stream draws from afar what goes over a link, both ways, as one line.
function stream(picture, c, e, o, bitRate, px) {
  c.strokeStyle = picture.colours.accent;
  c.lineWidth = lineWidth(bitRate) * px;
  c.beginPath();
  c.moveTo(e.router.x + o.x, e.router.y + o.y);
  c.lineTo(e.network.x + o.x, e.network.y + o.y);
  c.stroke();
}

// flow draws what goes from a to b as dashes that move, to the right of the way, as
// traffic is.
function flow(picture, c, a, b, o, bitRate, now, px) {
  if (bitRate <= 0) return;
  const w = weight(bitRate);
  const width = lineWidth(bitRate) * px;
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const side = width / 2 + px;
  const nx = (-(b.y - a.y) / length) * side + o.x;
  const ny = ((b.x - a.x) / length) * side + o.y;
  c.beginPath();
  c.moveTo(a.x + nx, a.y + ny);
  c.lineTo(b.x + nx, b.y + ny);
  c.setLineDash([]);
  c.strokeStyle = picture.colours.stream;
  c.lineWidth = width;
  c.stroke();
  c.setLineDash([6 * px, 12 * px]);
  c.lineDashOffset = picture.calm.matches ? 0 : -(((now / 1000) * (20 + 70 * w)) % 18) * px;
  c.strokeStyle = picture.colours.accent;
  c.lineWidth = width * 0.8;
  c.stroke();
}

// labels write at each link what goes over it, if there is room, and near by where nothing
// does the router's addresses.
export function labels(picture, c) {
  const { camera } = picture;
  const full = camera.scale >= FULL;
  const u = full ? 1 : 1 / camera.scale; // from afar, words keep their size
  c.textBaseline = "middle";
  for (const e of picture.layout.edges) {
    const o = offset(e);
    const a = rim(e.router, e.network.x, e.network.y);
    const b = rim(e.network, e.router.x, e.router.y);
    const [x, y] = [(a.x + b.x) / 2 + o.x, (a.y + b.y) / 2 + o.y];
    if (!camera.sees(x, y, 300 * u, 120 * u)) continue;
    const rate = picture.rates.get(e.router.id, e.iface.id);
    const angle = Math.atan2(b.y - a.y, b.x - a.x);
    const gap = Math.abs(e.router.x - e.network.x) - (e.router.w + e.network.w) / 2; // between the cards
    const room = gap > 0 ? gap : Infinity;
    const linesOf = (words) => [[rate.out, angle], [rate.in, angle + Math.PI]].filter(([r]) => r.packets > 0).map(([r, way]) => [words(r), way]);
    const fits = (lines) => widest(c, lines, u) <= room;
    const brief = linesOf((r) => bits(r.bits));
    const long = full && brief.length ? linesOf(both) : brief;
    const lines = fits(long) ? long : brief;
    if (lines.length && fits(lines)) {
      const place = gap > 0 ? above(e, gap) : beside(x, y, angle);
      rates(picture, c, place, lines, u);
    }
    if (!lines.length && camera.scale >= LINES && !picture.ways.length) e.iface.addresses.slice(0, 2).forEach((address, i, all) => onLink(picture, c, x, y + (i - (all.length - 1) / 2) * 20, address));
  }
}

// onLink writes a word in a gap of a link.
function onLink(picture, c, x, y, text) {
  c.font = `400 12px ${FONT}`;
  const w = measured(c, text) + 12;
  c.fillStyle = picture.colours.back;
  box(c, x - w / 2, y - 9, w, 18, 6);
  c.fill();
  c.textAlign = "center";
  c.fillStyle = picture.colours.muted;
  c.fillText(text, x, y);
}

// widest returns how wide rates are that are written beside a link.
function widest(c, lines, u) {
  c.font = `600 ${12 * u}px ${FONT}`;
  return Math.max(0, ...lines.map(([text]) => measured(c, text))) + 28 * u;
}

// above returns where a box of a width and a height is that lies above a link in the gap
// between its cards, and beside where one is at the side of a point of a link. u is the size
// of a pixel.
function above({ router, network }, gap) {
  const way = Math.sign(network.x - router.x);
  const slope = (network.y - router.y) / (network.x - router.x);
  const x = router.x + way * (router.w / 2 + gap / 2);
  const y = router.y + slope * (x - router.x);
  return (w, h, u) => ({ left: x - w / 2, top: y - (Math.abs(slope) * w) / 2 - h - 8 * u });
}

function beside(x, y, angle) {
  const turned = Math.abs(Math.cos(angle)) > 0.5 ? Math.sign(Math.cos(angle)) : -Math.sign(Math.sin(angle));
  const [nx, ny] = [Math.sin(angle) * turned, -Math.cos(angle) * turned];
  return (w, h, u) => {
    const away = Math.abs(nx) * (w / 2) + Math.abs(ny) * (h / 2) + 10 * u;
    return { left: x + nx * away - w / 2, top: y + ny * away - h / 2 };
  };
}

// rates writes rates at a place, each with the way that it goes.
function rates(picture, c, place, lines, u) {
  const w = widest(c, lines, u);
  const h = (lines.length * 16 + 4) * u;
  const { left, top } = place(w, h, u);
  c.fillStyle = picture.colours.back;
  c.globalAlpha = 0.88;
  box(c, left, top, w, h, 6 * u);
  c.fill();
  c.globalAlpha = 1;
  c.textAlign = "left";
  lines.forEach(([text, way], i) => {
    const at = top + (10 + i * 16) * u;
    arrow(c, left + 11 * u, at, way, 5 * u, picture.colours.accent);
    c.fillStyle = picture.colours.ink;
    c.fillText(text, left + 22 * u, at);
  });
}

// way draws the way of a packet, or, as the second, that of its answer.
export function way(picture, c, w, i) {
  const px = 1 / picture.camera.scale;
  const points = shifted(w, px);
  if (points.length < 2) return;
  c.lineJoin = c.lineCap = "round";
  c.lineWidth = Math.max(4, 3 * px);
  c.strokeStyle = picture.colours[WAYS[i]];
  c.setLineDash(i === 0 ? [] : [10, 9]);
  c.beginPath();
  points.forEach((p, k) => (k ? c.lineTo(p.x, p.y) : c.moveTo(p.x, p.y)));
  c.stroke();
  c.setLineDash([]);
  c.lineCap = "butt";
  c.lineJoin = "miter";
  points.slice(1).forEach((p, k) => {
    if (k % 2) return; // that is where two pieces meet
    const before = points[k];
    const t = i === 0 ? 0.54 : 0.46; // the two are not side by side
    arrow(c, before.x + (p.x - before.x) * t, before.y + (p.y - before.y) * t, Math.atan2(p.y - before.y, p.x - before.x), Math.max(11, 9 * px), picture.colours[WAYS[i]]);
  });
}

// packet draws a packet that goes along its way, and where it does not arrive what
// becomes of it.
export function packet(picture, c, w, i, now) {
  const px = 1 / picture.camera.scale;
  const points = shifted(w, px);
  if (points.length < 2) return;
  const last = points.at(-1);
  if (!w.arrives) sign(picture, c, w.level, last.x, last.y + 46, Math.max(13, 9 * px));
  if (picture.calm.matches) return;
  const lengths = points.slice(1).map((p, k) => Math.hypot(p.x - points[k].x, p.y - points[k].y));
  const total = lengths.reduce((a, b) => a + b, 0) || 1;
  let left = (((now / 1000) * Math.max(240, total / 3) + (i * total) / 2) % (total + 80)) - 40;
  if (left < 0 || left > total) return;
  let k = 0;
  while (k < lengths.length - 1 && left > lengths[k]) left -= lengths[k++];
  const t = left / (lengths[k] || 1);
  c.fillStyle = picture.colours.card;
  c.strokeStyle = picture.colours[WAYS[i]];
  c.lineWidth = Math.max(3, 2 * px);
  c.beginPath();
  c.arc(points[k].x + (points[k + 1].x - points[k].x) * t, points[k].y + (points[k + 1].y - points[k].y) * t, Math.max(6, 5 * px), 0, 7);
  c.fill();
  c.stroke();
}

// shifted moves the pieces of a way to the right of where it goes, so that there and
// back are side by side.
function shifted(w, px) {
  const by = Math.max(5, 3 * px);
  return w.points.slice(1).flatMap((b, k) => {
    const a = w.points[k];
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const [x, y] = [(-(b.y - a.y) / length) * by, ((b.x - a.x) / length) * by];
    return [{ x: a.x + x, y: a.y + y }, { x: b.x + x, y: b.y + y }];
  });
}

// offset returns how far links are moved apart where a router has several on one network.
export function offset(e) {
  if (e.nth === 0) return { x: 0, y: 0 };
  const length = Math.hypot(e.network.x - e.router.x, e.network.y - e.router.y) || 1;
  const d = 22 * (e.nth % 2 ? (e.nth + 1) / 2 : -e.nth / 2);
  return { x: (-(e.network.y - e.router.y) / length) * d, y: ((e.network.x - e.router.x) / length) * d };
}
