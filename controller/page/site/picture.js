// The picture: draws on a canvas what is seen of a layout, and finds what is at a point.
// From afar it leaves out machines; names of routers always have a size that can be read.

import { FLOWS, NEAR, box } from "./brush.js";
import { Camera } from "./camera.js";
import { labels as nameLabels, network, router } from "./cards.js";
import { SIGNS } from "./dom.js";
import { boxOf, cellAt, cellOf, indexOf, layout, rim } from "./layout.js";
import { edges, labels, offset, packet, way } from "./links.js";
import { keyOf, parseKey } from "./model.js";
import { listen } from "./pointer.js";
import { Rates } from "./rates.js";
import { wayPoints } from "./way.js";

export class Picture {
  // pick is called with the key of what is clicked, or null; moved when the camera has
  // moved; over with the key of what the pointer is on, and where in the window that is.
  constructor(canvas, { pick, moved, over }) {
    Object.assign(this, { canvas, pick, moved, over });
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
    listen(this);
    requestAnimationFrame((now) => this.frame(now));
  }

  // recolour takes the colours of the style sheet.
  recolour() {
    const style = getComputedStyle(this.canvas);
    const names = ["back", "card", "ink", "muted", "line", "wire", "accent", "stream", "back-way", "hub", "hub-ink", "cell", "ok", "busy", "warn", "bad", "idle", "dot"];
    this.colours = Object.fromEntries(names.map((n) => [n, style.getPropertyValue("--" + n).trim()]));
    this.dirty = true;
  }

  // show lays the world out again, around the object with the key root, if there is one. What
  // is in the middle stays there, unless root is another than before.
  show(world, root) {
    if (this.world && root !== this.root) {
      this.all = true;
      this.hover(null);
    }
    const anchor = this.nearest();
    this.world = world;
    this.root = root;
    this.layout = layout(world, root);
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

  // hover notes what the pointer is on; null: nothing.
  hover(key, x, y) {
    if (key !== this.hovered) {
      this.hovered = key;
      this.dirty = true;
    }
    this.over(key, x, y);
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

  setMachines(machines) {
    this.machines = machines;
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
    this.camera.fit(this.layout.box, this.rims());
    this.fitted = this.camera.w > 1 && this.layout.nodes.length > 0;
    this.change();
    this.all = true;
  }

  // rims returns how much room the rims need for what lies over the picture.
  rims() {
    const view = this.canvas.getBoundingClientRect();
    const rims = { top: 40, bottom: 64 };
    for (const el of this.canvas.parentElement.querySelectorAll("[data-rim]")) {
      const r = el.getBoundingClientRect();
      if (r.height === 0) continue; // it is hidden
      const room = el.dataset.rim === "top" ? r.bottom - view.top : view.bottom - r.top;
      rims[el.dataset.rim] = Math.max(rims[el.dataset.rim], Math.min(room + 20, view.height / 3));
    }
    return rims;
  }

  // zoom zooms in on an object, if that is seen, else on the middle.
  zoom(factor, key) {
    const { camera } = this;
    const at = key && this.placeOf(key);
    const { x, y } = at && camera.sees(at.x, at.y, 0, 0) ? camera.toScreen(at.x, at.y) : { x: camera.w / 2, y: camera.h / 2 };
    camera.zoom(factor, x, y);
    this.change();
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
    if (places.length === 0 || (places.every(seen) && camera.scale > NEAR)) return;
    camera.fit(boxOf(places), { ...this.rims(), side: 60 });
    this.change();
  }

  // focus brings an object to the middle, near enough to be read.
  focus(key) {
    const at = this.placeOf(key);
    if (!at) return;
    this.fitted = true;
    this.camera.x = at.x;
    this.camera.y = at.y;
    if (this.camera.scale < NEAR) this.camera.scale = 1;
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
    const i = indexOf(network, id);
    if (i < 0) return null;
    const c = cellOf(network, i);
    return { key, x: c.x + c.w / 2, y: c.y + c.h / 2, w: c.w, h: c.h };
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
    this.names = []; // of routers, as they are drawn
    edges(this, c, now);
    this.ways.forEach((w, i) => way(this, c, w, i));
    for (const n of seen) {
      if (n.kind === "router") router(this, c, n);
      else network(this, c, n);
    }
    if (camera.scale > FLOWS) labels(this, c);
    this.marks(c);
    this.ways.forEach((w, i) => packet(this, c, w, i, now));
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    nameLabels(this, c);
    this.canvas.names = this.names; // for tests
    this.canvas.dataset.frames = String(Number(this.canvas.dataset.frames ?? 0) + 1);
    this.canvas.dataset.root = this.root ?? "";
    this.canvas.dataset.at = [camera.x, camera.y, camera.scale].join();
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
      const at = on && key && !key.startsWith("link:") && this.placeOf(this.shownAs(key));
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

  // shownAs returns the key of what stands for an object: from afar, its network for a
  // machine.
  shownAs(key) {
    const { kind, id } = parseKey(key);
    const port = kind === "port" && this.camera.scale < NEAR && this.world?.ports.get(id);
    return port ? keyOf("network", port.network) : key;
  }

  // at returns the key of what is at a point of the screen.
  at(sx, sy) {
    const { x, y } = this.camera.toWorld(sx, sy);
    const slack = 4 / this.camera.scale;
    for (const n of this.layout.nodes.toReversed()) {
      if (Math.abs(x - n.x) > n.w / 2 + slack || Math.abs(y - n.y) > n.h / 2 + slack) continue;
      if (n.kind === "network" && this.camera.scale >= NEAR) {
        const i = cellAt(n, x, y);
        if (i >= 0 && i < n.ports.length) return keyOf("port", n.ports[i].id);
      }
      return n.key;
    }
    return null;
  }

  // linkAt returns the key of the link that is at a point of the screen, or null.
  linkAt(sx, sy) {
    const { x, y } = this.camera.toWorld(sx, sy);
    const slack = 9 / this.camera.scale;
    for (const e of this.layout.edges) {
      const o = offset(e);
      const a = rim(e.router, e.network.x, e.network.y);
      const b = rim(e.network, e.router.x, e.router.y);
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const length = dx * dx + dy * dy;
      const t = length ? Math.max(0, Math.min(1, ((x - o.x - a.x) * dx + (y - o.y - a.y) * dy) / length)) : 0;
      if (Math.hypot(a.x + t * dx + o.x - x, a.y + t * dy + o.y - y) <= slack) return `link:${e.router.id}\n${e.iface.id}`;
    }
    return null;
  }
}
