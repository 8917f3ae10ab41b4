// The picture: draws on a canvas what is seen of a layout, and tells what is
// pointed at. The farther away, the less of it: machines, then names, then counts.

import { Camera } from "./camera.js";
import { SIGNS } from "./dom.js";
import { CELL, HEAD, boxOf, cellOf, layout, rim } from "./layout.js";
import { keyOf, parseKey, portHealth, routerHealth, worst } from "./model.js";
import { Rates, bits, both, packets, weight } from "./rates.js";
import { wayPoints } from "./way.js";

const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';
const NEAR = 0.5; // from this scale on, machines and links have words
const MACHINES = 0.34; // from this scale on, machines are seen
const NAMES = 0.13; // from this scale on, networks and routers have names

const WAYS = ["accent", "back-way"]; // colours of a packet and of its answer

export class Picture {
  // pick is called with the key of what is clicked, or null; moved when the camera
  // has moved.
  constructor(canvas, { pick, moved }) {
    Object.assign(this, { canvas, pick, moved });
    this.context = canvas.getContext("2d");
    this.camera = new Camera();
    this.layout = { nodes: [], edges: [], byKey: new Map(), box: boxOf([]) };
    this.world = null;
    this.rates = new Rates();
    this.statuses = new Map();
    this.selected = null;
    this.cursor = null;
    this.hovered = null;
    this.ways = [];
    this.dirty = true;
    this.fitted = false; // there has been something to be seen
    this.all = true; // everything is to be seen, until somebody moves the camera
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.paths = Object.fromEntries(Object.entries(SIGNS).map(([level, d]) => [level, new Path2D(d)]));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    this.recolour();
    this.listen();
    requestAnimationFrame((now) => this.frame(now));
  }

  // recolour takes the colours of the style sheet.
  recolour() {
    const style = getComputedStyle(this.canvas);
    const names = ["back", "card", "ink", "muted", "line", "wire", "accent", "stream", "back-way", "hub", "hub-ink", "cell", "ok", "busy", "warn", "bad", "idle", "dot"];
    this.colours = Object.fromEntries(names.map((n) => [n, style.getPropertyValue("--" + n).trim()]));
    this.dirty = true;
  }

  // show lays the world out anew. What is in the middle stays there.
  show(world) {
    const anchor = this.nearest();
    this.world = world;
    this.layout = layout(world);
    const now = anchor && this.layout.byKey.get(anchor.key);
    if (now) {
      this.camera.x += now.x - anchor.x;
      this.camera.y += now.y - anchor.y;
    } else if (!this.fitted || anchor) {
      this.fit();
    }
    if (this.all) this.fit();
    this.dirty = true;
  }

  nearest() {
    let best = null;
    let least = Infinity;
    for (const n of this.layout.nodes) {
      const d = Math.hypot(n.x - this.camera.x, n.y - this.camera.y);
      if (d < least) [best, least] = [n, d];
    }
    return best;
  }

  setRates(rates) {
    this.rates = rates;
    this.dirty = true;
  }

  setStatuses(routers) {
    this.statuses = new Map(routers.map((r) => [r.id, r]));
    this.dirty = true;
  }

  select(key) {
    this.selected = key;
    this.dirty = true;
  }

  // setWays shows the ways of a trace; none ends that.
  setWays(ways) {
    this.ways = ways.map((w) => wayPoints(w, this.layout, (id) => this.placeOf(keyOf("port", id))));
    this.dirty = true;
  }

  fit() {
    this.camera.fit(this.layout.box);
    this.fitted = this.camera.w > 1 && this.layout.nodes.length > 0;
    this.change();
    this.all = true;
  }

  // look points the camera at a place.
  look([x, y, scale]) {
    Object.assign(this.camera, { x, y, scale });
    this.fitted = true;
    this.change();
  }

  // gather shows several objects at once, if they are not all seen.
  gather(keys) {
    const places = keys.map((key) => this.placeOf(key)).filter(Boolean);
    const { camera } = this;
    const seen = (p) => Math.abs(p.x - camera.x) * 2 + p.w <= camera.w / camera.scale && Math.abs(p.y - camera.y) * 2 + p.h <= camera.h / camera.scale;
    if (places.length === 0 || (places.every(seen) && camera.scale > MACHINES)) return;
    camera.fit(boxOf(places), 60, 90);
    this.change();
  }

  // focus brings an object to the middle, near enough to be read.
  focus(key) {
    const at = this.placeOf(key);
    if (!at) return;
    this.fitted = true;
    this.camera.x = at.x;
    this.camera.y = at.y;
    if (this.camera.scale < 0.7) this.camera.scale = 0.9;
    this.change();
  }

  // bring moves the camera as little as is needed to see an object.
  bring(key) {
    const at = this.placeOf(key);
    if (!at) return;
    const { camera } = this;
    const margin = 40 / camera.scale;
    const { x, y } = camera;
    for (const [axis, size] of [["x", camera.w], ["y", camera.h]]) {
      const room = Math.max(0, size / 2 / camera.scale - (axis === "x" ? at.w : at.h) / 2 - margin);
      camera[axis] = Math.min(at[axis] + room, Math.max(at[axis] - room, camera[axis]));
    }
    this.dirty = true;
    if (camera.x !== x || camera.y !== y) this.change();
  }

  // placeOf returns the middle and the size of an object.
  placeOf(key) {
    const node = this.layout.byKey.get(key);
    if (node) return node;
    const { kind, id } = parseKey(key);
    const port = kind === "port" && this.world?.ports.get(id);
    const network = port && this.layout.byKey.get(keyOf("network", port.network));
    if (!network) return null;
    const i = network.ports.findIndex((p) => p.id === id);
    if (i < 0) return null;
    const c = cellOf(network, i);
    return { key, x: c.x + CELL.w / 2, y: c.y + CELL.h / 2, w: CELL.w, h: CELL.h };
  }

  change() {
    this.dirty = true;
    this.all = false;
    if (this.world) this.moved();
  }

  resize() {
    const { clientWidth: w, clientHeight: h } = this.canvas.parentElement;
    if (w === 0 || h === 0) return; // it is not shown
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(w * ratio);
    this.canvas.height = Math.round(h * ratio);
    this.ratio = ratio;
    const first = this.camera.w <= 1;
    this.camera.w = w;
    this.camera.h = h;
    if (this.all || (first && !this.fitted)) this.fit();
    else if (this.ways.length) this.gather(this.ways.flatMap((way) => way.keys));
    else if (this.selected) this.bring(this.selected);
    this.dirty = true;
  }

  // frame draws, if something has changed or moves.
  frame(now) {
    requestAnimationFrame((next) => this.frame(next));
    if (this.canvas.offsetParent === null) return;
    const moves = !this.calm.matches && (this.ways.length > 0 || this.flowing);
    if (!this.dirty && !(moves && now - (this.drawn ?? 0) > 30)) return;
    this.dirty = false;
    this.drawn = now;
    this.draw(now);
  }

  draw(now) {
    const { context: c, camera } = this;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.fillStyle = this.colours.back;
    c.fillRect(0, 0, camera.w, camera.h);
    this.dots(c);
    c.translate(camera.w / 2, camera.h / 2);
    c.scale(camera.scale, camera.scale);
    c.translate(-camera.x, -camera.y);
    const seen = this.layout.nodes.filter((n) => camera.sees(n.x, n.y, n.w, n.h));
    this.seen = seen.length;
    this.edges(c, now);
    this.ways.forEach((w, i) => this.way(c, w, i));
    for (const n of seen) {
      if (n.kind === "router") this.router(c, n);
      else this.network(c, n);
    }
    if (camera.scale > NEAR) this.labels(c);
    this.marks(c);
    this.ways.forEach((w, i) => this.packet(c, w, i, now));
    this.canvas.dataset.frames = String(Number(this.canvas.dataset.frames ?? 0) + 1);
  }

  // dots are the ground, that one sees oneself move over.
  dots(c) {
    const { camera } = this;
    let step = 40 * camera.scale;
    while (step < 24) step *= 4;
    const x0 = (((camera.w / 2 - camera.x * camera.scale) % step) + step) % step;
    const y0 = (((camera.h / 2 - camera.y * camera.scale) % step) + step) % step;
    c.fillStyle = this.colours.dot;
    for (let x = x0; x < camera.w; x += step) {
      for (let y = y0; y < camera.h; y += step) c.fillRect(x, y, 1.5, 1.5);
    }
  }

  edges(c, now) {
    const { camera } = this;
    this.flowing = false;
    const px = 1 / camera.scale;
    c.lineCap = "round";
    c.strokeStyle = this.colours.wire;
    c.lineWidth = Math.max(1.5, px);
    c.beginPath();
    const busy = [];
    for (const e of this.layout.edges) {
      const { router: a, network: b } = e;
      if (!camera.sees((a.x + b.x) / 2, (a.y + b.y) / 2, Math.abs(a.x - b.x) + 1, Math.abs(a.y - b.y) + 1)) continue;
      const o = offset(e);
      const rate = this.rates.get(a.id, e.iface.id);
      if (rate.in.bits + rate.out.bits > 0) {
        busy.push([e, rate, o]);
        continue;
      }
      c.moveTo(a.x + o.x, a.y + o.y);
      c.lineTo(b.x + o.x, b.y + o.y);
    }
    c.stroke();
    for (const [e, rate, o] of busy) {
      if (camera.scale < MACHINES) {
        this.stream(c, e, o, rate.in.bits + rate.out.bits, px);
        continue;
      }
      this.flowing = true;
      this.flow(c, e.router, e.network, o, rate.out.bits, now, px);
      this.flow(c, e.network, e.router, o, rate.in.bits, now, px);
    }
    c.setLineDash([]);
    c.lineCap = "butt";
  }

  // stream draws from afar what goes over a link, both ways, as one line.
  stream(c, e, o, bitRate, px) {
    c.strokeStyle = this.colours.accent;
    c.lineWidth = Math.min((1 + 3 * weight(bitRate)) * px, 26);
    c.beginPath();
    c.moveTo(e.router.x + o.x, e.router.y + o.y);
    c.lineTo(e.network.x + o.x, e.network.y + o.y);
    c.stroke();
  }

  // flow draws what goes from a to b as dashes that move, to the right of the way, as
  // traffic is.
  flow(c, a, b, o, bitRate, now, px) {
    if (bitRate <= 0) return;
    const w = weight(bitRate);
    const width = Math.max(2 + 5 * w, 1.5 * px);
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const side = width / 2 + 2;
    const nx = (-(b.y - a.y) / length) * side + o.x;
    const ny = ((b.x - a.x) / length) * side + o.y;
    c.beginPath();
    c.moveTo(a.x + nx, a.y + ny);
    c.lineTo(b.x + nx, b.y + ny);
    c.setLineDash([]);
    c.strokeStyle = this.colours.stream;
    c.lineWidth = width;
    c.stroke();
    c.setLineDash([6, 12]);
    c.lineDashOffset = this.calm.matches ? 0 : -((now / 1000) * (20 + 70 * w)) % 18;
    c.strokeStyle = this.colours.accent;
    c.lineWidth = width * 0.8;
    c.stroke();
  }

  // labels say at each link what goes over it.
  labels(c) {
    const { camera } = this;
    c.textAlign = "center";
    c.textBaseline = "middle";
    for (const e of this.layout.edges) {
      const o = offset(e);
      const a = rim(e.router, e.network.x, e.network.y);
      const b = rim(e.network, e.router.x, e.router.y);
      let [x, y] = [(a.x + b.x) / 2 + o.x, (a.y + b.y) / 2 + o.y];
      if (!camera.sees(x, y, 300, 120)) continue;
      const rate = this.rates.get(e.router.id, e.iface.id);
      const lines = [];
      const angle = Math.atan2(b.y - a.y, b.x - a.x);
      if (rate.out.packets > 0) lines.push([both(rate.out), angle]);
      if (rate.in.packets > 0) lines.push([both(rate.in), angle + Math.PI]);
      const quiet = lines.length === 0;
      if (quiet && this.ways.length) continue; // the way is there
      if (quiet) lines.push([e.iface.addresses[0] ?? "", null]);
      c.font = `${quiet ? 400 : 600} 11px ${FONT}`;
      const w = Math.max(...lines.map(([text, turn]) => c.measureText(text).width + (turn === null ? 0 : 14))) + 12;
      const h = lines.length * 16 + 4;
      if (!quiet) { // beside the link, not on it
        const turned = Math.abs(Math.cos(angle)) > 0.5 ? Math.sign(Math.cos(angle)) : -Math.sign(Math.sin(angle));
        const [nx, ny] = [Math.sin(angle) * turned, -Math.cos(angle) * turned];
        const away = Math.abs(nx) * (w / 2) + Math.abs(ny) * (h / 2) + 14;
        x += nx * away;
        y += ny * away;
      }
      c.fillStyle = this.colours.back;
      c.globalAlpha = 0.92;
      box(c, x - w / 2, y - h / 2, w, h, 6);
      c.fill();
      c.globalAlpha = 1;
      lines.forEach(([text, turn], i) => {
        const ly = y - h / 2 + 10 + i * 16;
        c.fillStyle = quiet ? this.colours.muted : this.colours.ink;
        c.fillText(text, x + (turn === null ? 0 : 7), ly);
        if (turn !== null) arrow(c, x - w / 2 + 11, ly, turn, 4.5, this.colours.accent);
      });
    }
  }

  router(c, n) {
    const { colours } = this;
    const health = routerHealth(this.statuses.get(n.id));
    const screen = n.h * this.camera.scale;
    if (screen < 9) {
      this.speck(c, n, colours.hub);
      if (health.level !== "ok") this.sign(c, health.level, n.x, n.y, 5.5 / this.camera.scale);
      return;
    }
    c.fillStyle = colours.hub;
    box(c, n.x - n.w / 2, n.y - n.h / 2, n.w, n.h, n.h / 2);
    c.fill();
    this.sign(c, health.level, n.x - n.w / 2 + n.h / 2, n.y, 15);
    c.textBaseline = "middle";
    if (this.camera.scale < MACHINES) {
      if (this.camera.scale > NAMES) this.under(c, n);
      return;
    }
    c.textAlign = "left";
    c.fillStyle = colours["hub-ink"];
    c.font = `600 14px ${FONT}`;
    c.fillText(clip(c, n.id, n.w - n.h - 20), n.x - n.w / 2 + n.h + 2, n.y - 8);
    c.font = `400 11px ${FONT}`;
    c.globalAlpha = 0.85;
    c.fillText(health.level === "ok" ? `${n.links.length} network${n.links.length === 1 ? "" : "s"}` : health.word, n.x - n.w / 2 + n.h + 2, n.y + 10);
    c.globalAlpha = 1;
  }

  // under names a router that is too small to have words in it.
  under(c, n) {
    const size = 11 / this.camera.scale;
    c.textAlign = "center";
    c.fillStyle = this.colours.ink;
    c.font = `600 ${size}px ${FONT}`;
    c.fillText(clip(c, n.id, n.w * 2.2), n.x, n.y + n.h / 2 + size * 0.9);
  }

  // sign draws the shape of a level of health in a disc.
  sign(c, level, x, y, r) {
    c.fillStyle = this.colours[level];
    c.beginPath();
    c.arc(x, y, r, 0, 7);
    c.fill();
    c.save();
    c.translate(x - r * 0.72, y - r * 0.72);
    c.scale((r * 1.44) / 16, (r * 1.44) / 16);
    c.strokeStyle = this.colours.card;
    c.lineWidth = 2.4;
    c.lineCap = c.lineJoin = "round";
    c.stroke(this.paths[level]);
    c.restore();
  }

  speck(c, n, colour) {
    const least = 3 / this.camera.scale;
    const w = Math.max(n.w, least);
    const h = Math.max(n.h, least);
    c.fillStyle = colour;
    c.fillRect(n.x - w / 2, n.y - h / 2, w, h);
  }

  network(c, n) {
    const { colours, camera } = this;
    const screen = n.h * camera.scale;
    if (screen < 7) {
      this.speck(c, n, colours.line);
      return;
    }
    const [x, y] = [n.x - n.w / 2, n.y - n.h / 2];
    c.fillStyle = colours.card;
    c.strokeStyle = colours.line;
    c.lineWidth = Math.max(1, 0.8 / camera.scale);
    box(c, x, y, n.w, n.h, 10);
    c.fill();
    c.stroke();
    if (camera.scale < MACHINES) {
      if (n.w * camera.scale > 22) this.far(c, n);
      return;
    }
    if (HEAD * camera.scale > 13) {
      c.textBaseline = "middle";
      c.textAlign = "left";
      c.font = `600 13px ${FONT}`;
      c.fillStyle = colours.ink;
      const count = n.ports.length.toLocaleString("en");
      const ill = this.ill(n);
      c.fillText(clip(c, n.id, n.w - 60 - (ill ? 22 : 0)), x + 12, y + 15);
      c.font = `400 11px ${FONT}`;
      c.fillStyle = colours.muted;
      c.fillText(clip(c, n.subnets.join(", ") || "no router", n.w - 24), x + 12, y + 32);
      c.textAlign = "right";
      c.fillText(count, x + n.w - 12, y + 15);
      if (ill) this.sign(c, ill, x + n.w - 24 - c.measureText(count).width, y + 15, 7);
    } else if (n.ports.length === 0) {
      return;
    }
    this.machines(c, n);
  }

  // ill is the worst health of the routers on a network, if it is not good.
  ill(n) {
    const level = worst(n.links.map((e) => routerHealth(this.statuses.get(e.router.id)).level));
    return level === "ok" ? null : level;
  }

  // far shows a network as its name and how many machines it has.
  far(c, n) {
    const px = 1 / this.camera.scale;
    const size = Math.min(18 * px, n.h * 0.42, n.w * 0.3);
    const named = this.camera.scale > NAMES && n.h > size + 16 * px;
    c.textAlign = "center";
    c.textBaseline = "middle";
    if (n.ports.length === 0) {
      c.fillStyle = this.colours.muted;
      c.font = `400 ${Math.min(10 * px, n.h * 0.6)}px ${FONT}`;
      c.fillText(clip(c, n.id, n.w - 4 * px), n.x, n.y);
      return;
    }
    c.fillStyle = this.colours.ink;
    c.font = `600 ${size}px ${FONT}`;
    c.fillText(n.ports.length.toLocaleString("en"), n.x, n.y - (named ? 6 * px : 0));
    if (!named) return;
    c.fillStyle = this.colours.muted;
    c.font = `400 ${10 * px}px ${FONT}`;
    c.fillText(clip(c, n.id, n.w - 4 * px), n.x, n.y + size * 0.5 + 3 * px);
  }

  // machines draws those cells of a card that are seen.
  machines(c, n) {
    const { camera, colours } = this;
    const near = camera.scale >= NEAR;
    const top = camera.y - camera.h / 2 / camera.scale - (n.y - n.h / 2 + HEAD);
    const bottom = top + camera.h / camera.scale;
    const pitch = CELL.h + CELL.gap;
    const from = Math.max(0, Math.floor(top / pitch)) * n.columns;
    const to = Math.min(n.ports.length, (Math.max(0, Math.ceil(bottom / pitch)) + 1) * n.columns);
    c.fillStyle = colours.cell;
    c.beginPath();
    const down = [];
    for (let i = from; i < to; i++) {
      const { x, y } = cellOf(n, i);
      if (near) c.roundRect(x, y, CELL.w, CELL.h, 6);
      else c.rect(x, y, CELL.w, CELL.h);
      if (portHealth(n.ports[i]).level !== "ok") down.push([x, y]);
    }
    c.fill();
    c.strokeStyle = colours.idle;
    c.lineWidth = 1;
    c.setLineDash([4, 3]);
    for (const [x, y] of down) {
      box(c, x + 0.5, y + 0.5, CELL.w - 1, CELL.h - 1, 6);
      c.stroke();
    }
    c.setLineDash([]);
    if (!near) return;
    c.textBaseline = "middle";
    for (let i = from; i < to; i++) {
      const { x, y } = cellOf(n, i);
      const p = n.ports[i];
      if (!camera.sees(x + CELL.w / 2, y + CELL.h / 2, CELL.w, CELL.h)) continue;
      const up = portHealth(p).level === "ok";
      c.textAlign = "left";
      c.font = `500 11px ${FONT}`;
      c.fillStyle = up ? colours.ink : colours.muted;
      const name = clip(c, p.id, p.addresses?.length ? CELL.w * 0.46 : CELL.w - 16);
      c.fillText(name, x + 8, y + CELL.h / 2 + 0.5);
      if (!p.addresses?.length) continue;
      const left = CELL.w - 22 - measured(c, name);
      c.textAlign = "right";
      c.font = `400 10px ${FONT}`;
      c.fillStyle = colours.muted;
      c.fillText(clip(c, p.addresses[0], left), x + CELL.w - 8, y + CELL.h / 2 + 0.5);
    }
  }

  // way draws the way of a packet, or, as the second, that of its answer.
  way(c, w, i) {
    const px = 1 / this.camera.scale;
    const points = shifted(w, i, px);
    if (points.length < 2) return;
    c.lineJoin = c.lineCap = "round";
    c.lineWidth = Math.max(4, 3 * px);
    c.strokeStyle = this.colours[WAYS[i]];
    c.setLineDash(i === 0 ? [] : [10, 9]);
    c.beginPath();
    points.forEach((p, k) => (k ? c.lineTo(p.x, p.y) : c.moveTo(p.x, p.y)));
    c.stroke();
    c.setLineDash([]);
    c.lineCap = "butt";
    c.lineJoin = "miter";
    points.slice(1).forEach((p, k) => {
      const before = points[k];
      const t = i === 0 ? 0.54 : 0.46; // the two are not side by side
      arrow(c, before.x + (p.x - before.x) * t, before.y + (p.y - before.y) * t, Math.atan2(p.y - before.y, p.x - before.x), Math.max(11, 9 * px), this.colours[WAYS[i]]);
    });
  }

  // packet draws a packet that goes along its way, and where it does not arrive what
  // becomes of it.
  packet(c, w, i, now) {
    const px = 1 / this.camera.scale;
    const points = shifted(w, i, px);
    if (points.length < 2) return;
    const last = points.at(-1);
    if (!w.arrives) this.sign(c, w.level, last.x, last.y + 46, Math.max(13, 9 * px));
    if (this.calm.matches) return;
    const lengths = points.slice(1).map((p, k) => Math.hypot(p.x - points[k].x, p.y - points[k].y));
    const total = lengths.reduce((a, b) => a + b, 0) || 1;
    let left = (((now / 1000) * Math.max(240, total / 3) + (i * total) / 2) % (total + 80)) - 40;
    if (left < 0 || left > total) return;
    let k = 0;
    while (k < lengths.length - 1 && left > lengths[k]) left -= lengths[k++];
    const t = left / (lengths[k] || 1);
    c.fillStyle = this.colours.card;
    c.strokeStyle = this.colours[WAYS[i]];
    c.lineWidth = Math.max(3, 2 * px);
    c.beginPath();
    c.arc(points[k].x + (points[k + 1].x - points[k].x) * t, points[k].y + (points[k + 1].y - points[k].y) * t, Math.max(6, 5 * px), 0, 7);
    c.fill();
    c.stroke();
  }

  // marks are the rings around what is selected, hovered and, with the keyboard,
  // at the cursor.
  marks(c) {
    const px = 1 / this.camera.scale;
    const focused = document.activeElement === this.canvas && this.canvas.matches(":focus-visible");
    for (const [key, width, colour, on] of [
      [this.hovered, 1.5, "muted", this.hovered !== this.selected],
      [this.selected, 3, "accent", true],
      [this.cursor, 2, "ink", focused],
      ...this.ways.flatMap((w) => w.keys).map((key) => [key, 2, "accent", key !== this.selected]),
    ]) {
      const at = on && key && this.placeOf(key);
      if (!at) continue;
      const gap = (colour === "ink" ? 7 : 3) * Math.max(1, px * 0.7);
      const round = at.kind === "router" ? at.h / 2 + gap : at.kind === "network" ? 10 + gap : 6 + gap;
      c.strokeStyle = this.colours[colour];
      c.lineWidth = width * Math.max(1, px);
      if (colour === "ink") c.setLineDash([6 * Math.max(1, px), 4 * Math.max(1, px)]);
      box(c, at.x - at.w / 2 - gap, at.y - at.h / 2 - gap, at.w + 2 * gap, at.h + 2 * gap, round);
      c.stroke();
      c.setLineDash([]);
    }
  }

  // at returns the key of what is at a point of the screen.
  at(sx, sy) {
    const { x, y } = this.camera.toWorld(sx, sy);
    const slack = 4 / this.camera.scale;
    for (const n of this.layout.nodes.toReversed()) {
      if (Math.abs(x - n.x) > n.w / 2 + slack || Math.abs(y - n.y) > n.h / 2 + slack) continue;
      if (n.kind === "network" && this.camera.scale >= MACHINES) {
        const c = cellOf(n, 0);
        const column = Math.floor((x - c.x) / (CELL.w + CELL.gap));
        const row = Math.floor((y - c.y) / (CELL.h + CELL.gap));
        const i = row * n.columns + column;
        if (row >= 0 && column >= 0 && column < n.columns && i < n.ports.length) return keyOf("port", n.ports[i].id);
      }
      return n.key;
    }
    return null;
  }

  listen() {
    const { canvas, camera } = this;
    const pointers = new Map();
    let travelled = 0;
    const point = (e) => {
      const r = canvas.getBoundingClientRect();
      return { x: e.clientX - r.left, y: e.clientY - r.top };
    };
    canvas.addEventListener("pointerdown", (e) => {
      if (e.button !== 0) return;
      canvas.setPointerCapture(e.pointerId);
      pointers.set(e.pointerId, point(e));
      if (pointers.size === 1) travelled = 0;
    });
    canvas.addEventListener("pointermove", (e) => {
      const p = point(e);
      const before = pointers.get(e.pointerId);
      if (!before) {
        const key = this.at(p.x, p.y);
        canvas.style.cursor = key ? "pointer" : "grab";
        if (key !== this.hovered) {
          this.hovered = key;
          this.dirty = true;
        }
        return;
      }
      pointers.set(e.pointerId, p);
      travelled += Math.abs(p.x - before.x) + Math.abs(p.y - before.y);
      if (pointers.size === 1) {
        if (travelled > 4) {
          canvas.style.cursor = "grabbing";
          camera.pan(p.x - before.x, p.y - before.y);
        }
      } else {
        const [other] = [...pointers].filter(([id]) => id !== e.pointerId).map(([, o]) => o);
        const was = Math.hypot(before.x - other.x, before.y - other.y);
        const is = Math.hypot(p.x - other.x, p.y - other.y);
        if (was > 0) camera.zoom(is / was, (p.x + other.x) / 2, (p.y + other.y) / 2);
        camera.pan((p.x - before.x) / 2, (p.y - before.y) / 2);
      }
      this.change();
    });
    const up = (e) => {
      const p = pointers.get(e.pointerId);
      pointers.delete(e.pointerId);
      if (p && e.type === "pointerup" && travelled <= 4) this.pick(this.at(p.x, p.y));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.dirty = true;
    });
    canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      const p = point(e);
      const lines = e.deltaMode === 1 ? 16 : 1;
      camera.zoom(Math.exp(-e.deltaY * lines * (e.ctrlKey ? 0.01 : 0.0016)), p.x, p.y);
      this.change();
    }, { passive: false });
    canvas.addEventListener("dblclick", (e) => {
      const p = point(e);
      camera.zoom(2, p.x, p.y);
      this.change();
    });
    for (const type of ["focus", "blur"]) canvas.addEventListener(type, () => (this.dirty = true));
  }
}

// shifted moves the two ways of a trace apart.
function shifted(w, i, px) {
  const by = (i === 0 ? -1 : 1) * Math.max(5, 3 * px);
  return w.points.map((p) => ({ x: p.x, y: p.y + by }));
}

// offset moves links apart where a router has several on one network.
function offset(e) {
  if (e.nth === 0) return { x: 0, y: 0 };
  const length = Math.hypot(e.network.x - e.router.x, e.network.y - e.router.y) || 1;
  const d = 22 * (e.nth % 2 ? (e.nth + 1) / 2 : -e.nth / 2);
  return { x: (-(e.network.y - e.router.y) / length) * d, y: ((e.network.x - e.router.x) / length) * d };
}

function box(c, x, y, w, h, r) {
  c.beginPath();
  c.roundRect(x, y, w, h, r);
}

function arrow(c, x, y, angle, r, colour) {
  c.fillStyle = colour;
  c.beginPath();
  c.moveTo(x + Math.cos(angle) * r, y + Math.sin(angle) * r);
  for (const turn of [2.45, -2.45]) c.lineTo(x + Math.cos(angle + turn) * r, y + Math.sin(angle + turn) * r);
  c.fill();
}

const widths = new Map(); // of texts, by font; measuring is slow

function measured(c, text) {
  const key = c.font + "\n" + text;
  let w = widths.get(key);
  if (w === undefined) {
    if (widths.size > 50000) widths.clear();
    widths.set(key, (w = c.measureText(text).width));
  }
  return w;
}

// clip shortens a text in its middle, where IDs differ least, until it fits.
function clip(c, text, width) {
  if (measured(c, text) <= width) return text;
  const key = c.font + "\n" + width + "\n" + text;
  let out = clipped.get(key);
  if (out !== undefined) return out;
  let n = Math.max(1, Math.floor((text.length * width) / measured(c, text)) - 1);
  do {
    const head = Math.ceil(n / 2);
    out = text.slice(0, head) + "…" + text.slice(text.length - (n - head));
  } while (c.measureText(out).width > width && --n > 1);
  if (clipped.size > 50000) clipped.clear();
  clipped.set(key, out);
  return out;
}

const clipped = new Map();
