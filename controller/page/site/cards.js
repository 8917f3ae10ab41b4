// The cards of a picture: routers, networks, and the machines in them.

import { FONT, LINES, NAMES, NEAR, READ, box, clip, measured } from "./brush.js";
import { cellOf, secondLine } from "./layout.js";
import { nameOf, plural, portHealth, routerHealth, worst } from "./model.js";
import { spread } from "./names.js";

const NAME = 16; // pixels of the name in a router's card, at scale 1
const LABEL = 290; // pixels that a name below a card may be wide

export function router(picture, c, n) {
  const { colours, camera } = picture;
  const health = routerHealth(picture.statuses.get(n.id));
  const screen = n.h * camera.scale;
  c.fillStyle = colours.hub;
  if (screen < 9) speck(picture, c, n, colours.hub);
  else {
    box(c, n.x - n.w / 2, n.y - n.h / 2, n.w, n.h, n.h / 2);
    c.fill();
  }
  sign(picture, c, health.level, screen < 9 ? n.x : n.x - n.w / 2 + n.h / 2, n.y, Math.max(15, Math.min(6 / camera.scale, n.h / 2)));
  c.textBaseline = "middle";
  const size = Math.max(NAME, READ / camera.scale);
  c.font = `600 ${size}px ${FONT}`;
  const room = n.w - n.h - 16;
  const left = n.x - n.w / 2 + n.h + 2;
  const second = camera.scale >= LINES && n.h > 50;
  const inside = size < n.h && measured(c, n.name) <= room;
  if (inside) {
    const y = second ? n.y - 8 : n.y;
    const at = camera.toScreen(left, y);
    const w = measured(c, n.name) * camera.scale;
    picture.names.push({ id: n.id, text: n.name, px: size * camera.scale, x: at.x + w / 2, y: at.y, w, h: size * camera.scale });
    c.textAlign = "left";
    c.fillStyle = colours["hub-ink"];
    c.fillText(n.name, left, y);
  } else {
    const at = camera.toScreen(n.x, n.y + n.h / 2);
    picture.names.push({ id: n.id, text: n.name, x: at.x, y: at.y + 13, outside: true });
  }
  if (!second) return;
  const hidden = n.all - n.links.length;
  const text = health.level !== "ok" ? health.word : plural(n.all, "interface") + (hidden > 0 ? `, ${hidden} not shown` : "");
  c.globalAlpha = 0.85;
  write(c, text, left, n.y + (inside ? 10 : 0), room, `400 13px ${FONT}`, colours["hub-ink"]);
  c.globalAlpha = 1;
}

// labels writes the names of routers for which their cards have no room, below them, as
// large as can be read from anywhere.
export function labels(picture, c) {
  const outside = picture.names.filter((n) => n.outside);
  c.font = `600 ${READ}px ${FONT}`;
  c.textAlign = "center";
  c.textBaseline = "middle";
  for (const n of outside) {
    n.text = clip(c, n.text, Math.min(LABEL, picture.camera.w - 24));
    Object.assign(n, { px: READ, w: measured(c, n.text) + 10, h: READ + 6 });
  }
  spread(outside, picture.camera.w, picture.camera.h);
  for (const n of outside) {
    c.fillStyle = picture.colours.card;
    c.strokeStyle = picture.colours.line;
    c.lineWidth = 1;
    box(c, n.x - n.w / 2, n.y - n.h / 2, n.w, n.h, 6);
    c.fill();
    c.stroke();
    c.fillStyle = picture.colours.ink;
    c.fillText(n.text, n.x, n.y + 0.5);
  }
}

// sign draws the shape of a level of health in a disc.
export function sign(picture, c, level, x, y, r) {
  c.fillStyle = picture.colours[level];
  c.beginPath();
  c.arc(x, y, r, 0, 7);
  c.fill();
  c.save();
  c.translate(x - r * 0.72, y - r * 0.72);
  c.scale((r * 1.44) / 16, (r * 1.44) / 16);
  c.strokeStyle = picture.colours.card;
  c.lineWidth = 2.4;
  c.lineCap = c.lineJoin = "round";
  c.stroke(picture.paths[level]);
  c.restore();
}

function speck(picture, c, n, colour) {
  const least = 3 / picture.camera.scale;
  const w = Math.max(n.w, least);
  const h = Math.max(n.h, least);
  c.fillStyle = colour;
  c.fillRect(n.x - w / 2, n.y - h / 2, w, h);
}

export function network(picture, c, n) {
  const { colours, camera } = picture;
  const screen = n.h * camera.scale;
  if (screen < 7) {
    speck(picture, c, n, colours.line);
    return;
  }
  const [x, y] = [n.x - n.w / 2, n.y - n.h / 2];
  c.fillStyle = colours.card;
  c.strokeStyle = colours.line;
  c.lineWidth = Math.max(1, 0.8 / camera.scale);
  box(c, x, y, n.w, n.h, 10);
  c.fill();
  c.stroke();
  if (camera.scale < NEAR) {
    if (n.w * camera.scale > 22) far(picture, c, n);
    return;
  }
  c.textBaseline = "middle";
  const second = camera.scale >= LINES;
  const line = second ? y + 17 : y + 26;
  const large = Math.max(15, READ / camera.scale);
  const ill = illness(picture, n);
  const right = n.w - 24 - write(c, n.count.toLocaleString("en"), x + n.w - 12, line, n.w / 2, `400 ${large - 2}px ${FONT}`, colours.muted, "right");
  if (ill) sign(picture, c, ill, x + right, line, large / 2);
  write(c, n.name, x + 12, line, right - 12 - (ill ? large : 8), `600 ${large}px ${FONT}`, colours.ink);
  if (second) {
    const subtitle = [n.more ? `${plural(n.more, "router")} not shown` : "", n.subnets.join(", ") || "no router"].filter(Boolean).join("; ");
    write(c, subtitle, x + 12, y + 37, n.w - 24, `400 13px ${FONT}`, colours.muted);
  }
  machines(picture, c, n);
}

// illness is the worst health of the routers on a network, if it is not good.
function illness(picture, n) {
  const level = worst(n.links.map((e) => routerHealth(picture.statuses.get(e.router.id)).level));
  return level === "ok" ? null : level;
}

// far shows a network as its name and how many machines it has.
function far(picture, c, n) {
  const px = 1 / picture.camera.scale;
  const size = Math.min(18 * px, n.h * 0.42, n.w * 0.3);
  const named = picture.camera.scale > NAMES && n.h > size + 17 * px;
  c.textAlign = "center";
  c.textBaseline = "middle";
  if (n.count === 0 || !named) {
    const tall = Math.min(12 * px, n.h * 0.6);
    c.fillStyle = picture.colours.muted;
    c.font = `400 ${tall}px ${FONT}`;
    c.fillText(clip(c, n.count ? n.count.toLocaleString("en") : n.name, n.w - 4 * px), n.x, n.y);
    return;
  }
  c.fillStyle = picture.colours.ink;
  c.font = `600 ${size}px ${FONT}`;
  c.fillText(n.count.toLocaleString("en"), n.x, n.y - 7 * px);
  c.fillStyle = picture.colours.muted;
  c.font = `400 ${12 * px}px ${FONT}`;
  c.fillText(clip(c, n.name, n.w - 4 * px), n.x, n.y + size * 0.5 + 3 * px);
}

// machines draws those cells of a card that are seen.
function machines(picture, c, n) {
  const { camera, colours } = picture;
  const cells = [];
  for (let i = 0; i < n.ports.length + (n.rest > 0); i++) {
    const at = cellOf(n, i);
    if (camera.sees(at.x + at.w / 2, at.y + at.h / 2, at.w, at.h)) cells.push([at, n.ports[i]]);
  }
  c.fillStyle = colours.cell;
  c.beginPath();
  for (const [{ x, y, w, h }] of cells) c.roundRect(x, y, w, h, 6);
  c.fill();
  c.textBaseline = "middle";
  const size = Math.max(13, (READ - 1) / camera.scale);
  const plain = `400 ${size}px ${FONT}`;
  for (const [{ x, y, w, h }, p] of cells) {
    if (!p) {
      write(c, `and ${n.rest.toLocaleString("en")} more`, x + 8, y + h / 2, w - 16, plain, colours.muted);
      continue;
    }
    const health = portHealth(p, picture.machines?.of(p.id));
    if (health.level !== "ok") {
      c.strokeStyle = colours[health.level];
      c.lineWidth = 1;
      c.setLineDash([4, 3]);
      box(c, x + 0.5, y + 0.5, w - 1, h - 1, 6);
      c.stroke();
      c.setLineDash([]);
    }
    const second = camera.scale >= LINES && secondLine(p);
    const line = second ? y + 14 : y + h / 2;
    const bold = `500 ${size}px ${FONT}`;
    c.font = bold;
    let left = w - 16;
    const address = p.addresses?.find((a) => !a.includes(":"));
    if (address && measured(c, nameOf(p)) + measured(c, address) + 8 <= left) left -= write(c, address, x + w - 8, line, left, plain, colours.muted, "right") + 8;
    write(c, nameOf(p), x + 8, line, left, bold, health.level === "ok" ? colours.ink : colours.muted);
    if (second) write(c, second, x + 8, y + 32, w - 16, plain, colours.muted);
  }
}

// write writes a text into a width, and returns how wide it is.
function write(c, text, x, y, width, font, colour, align = "left") {
  c.textAlign = align;
  c.font = font;
  c.fillStyle = colour;
  const some = clip(c, text, width);
  c.fillText(some, x, y + 0.5);
  return measured(c, some);
}
