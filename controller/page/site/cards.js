// The cards of a picture: routers, networks, and the machines in them.

import { FONT, NAMES, NEAR, box, clip, measured } from "./brush.js";
import { CELL, HEAD, cellOf } from "./layout.js";
import { portHealth, routerHealth, worst } from "./model.js";

export function router(picture, c, n) {
  const { colours } = picture;
  const health = routerHealth(picture.statuses.get(n.id));
  const screen = n.h * picture.camera.scale;
  if (screen < 9) {
    speck(picture, c, n, colours.hub);
    if (health.level !== "ok") sign(picture, c, health.level, n.x, n.y, 5.5 / picture.camera.scale);
    return;
  }
  c.fillStyle = colours.hub;
  box(c, n.x - n.w / 2, n.y - n.h / 2, n.w, n.h, n.h / 2);
  c.fill();
  sign(picture, c, health.level, n.x - n.w / 2 + n.h / 2, n.y, 15);
  c.textBaseline = "middle";
  if (picture.camera.scale < NEAR) {
    if (picture.camera.scale > NAMES) small(picture, c, n);
    return;
  }
  c.textAlign = "left";
  c.fillStyle = colours["hub-ink"];
  c.font = `600 16px ${FONT}`;
  c.fillText(clip(c, n.id, n.w - n.h - 20), n.x - n.w / 2 + n.h + 2, n.y - 8);
  c.font = `400 13px ${FONT}`;
  c.globalAlpha = 0.85;
  c.fillText(health.level === "ok" ? `${n.links.length} network${n.links.length === 1 ? "" : "s"}` : health.word, n.x - n.w / 2 + n.h + 2, n.y + 10);
  c.globalAlpha = 1;
}

// small names a router that is too small to have more in it: below it, if there is no
// room for that.
function small(picture, c, n) {
  const size = 11 / picture.camera.scale;
  c.font = `600 ${size}px ${FONT}`;
  const room = n.w - n.h - size;
  if (measured(c, n.id) <= room) {
    c.textAlign = "left";
    c.fillStyle = picture.colours["hub-ink"];
    c.fillText(n.id, n.x - n.w / 2 + n.h + size * 0.1, n.y + size * 0.05);
    return;
  }
  c.textAlign = "center";
  const text = clip(c, n.id, n.w * 2.2);
  c.strokeStyle = picture.colours.back; // so that links do not cross it out
  c.lineWidth = size * 0.35;
  c.lineJoin = "round";
  c.strokeText(text, n.x, n.y + n.h / 2 + size * 0.9);
  c.fillStyle = picture.colours.ink;
  c.fillText(text, n.x, n.y + n.h / 2 + size * 0.9);
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
  c.textAlign = "left";
  c.font = `600 15px ${FONT}`;
  c.fillStyle = colours.ink;
  const count = n.ports.length.toLocaleString("en");
  const ill = illness(picture, n);
  c.fillText(clip(c, n.id, n.w - 60 - (ill ? 22 : 0)), x + 12, y + 17);
  c.font = `400 13px ${FONT}`;
  c.fillStyle = colours.muted;
  c.fillText(clip(c, n.subnets.join(", ") || "no router", n.w - 24), x + 12, y + 37);
  c.textAlign = "right";
  c.fillText(count, x + n.w - 12, y + 17);
  if (ill) sign(picture, c, ill, x + n.w - 24 - measured(c, count), y + 17, 7);
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
  const named = picture.camera.scale > NAMES && n.h > size + 16 * px;
  c.textAlign = "center";
  c.textBaseline = "middle";
  if (n.ports.length === 0) {
    c.fillStyle = picture.colours.muted;
    c.font = `400 ${Math.min(10 * px, n.h * 0.6)}px ${FONT}`;
    c.fillText(clip(c, n.id, n.w - 4 * px), n.x, n.y);
    return;
  }
  c.fillStyle = picture.colours.ink;
  c.font = `600 ${size}px ${FONT}`;
  c.fillText(n.ports.length.toLocaleString("en"), n.x, n.y - (named ? 6 * px : 0));
  if (!named) return;
  c.fillStyle = picture.colours.muted;
  c.font = `400 ${10 * px}px ${FONT}`;
  c.fillText(clip(c, n.id, n.w - 4 * px), n.x, n.y + size * 0.5 + 3 * px);
}

// machines draws those cells of a card that are seen.
function machines(picture, c, n) {
  const { camera, colours } = picture;
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
    c.roundRect(x, y, CELL.w, CELL.h, 6);
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
  c.textBaseline = "middle";
  for (let i = from; i < to; i++) {
    const { x, y } = cellOf(n, i);
    const p = n.ports[i];
    if (!camera.sees(x + CELL.w / 2, y + CELL.h / 2, CELL.w, CELL.h)) continue;
    const up = portHealth(p).level === "ok";
    let left = CELL.w - 16;
    const address = p.addresses?.[0];
    if (address) {
      c.textAlign = "right";
      c.font = `400 12px ${FONT}`;
      c.fillStyle = colours.muted;
      const text = clip(c, address, CELL.w * 0.58);
      c.fillText(text, x + CELL.w - 8, y + CELL.h / 2 + 0.5);
      left -= measured(c, text) + 8;
    }
    c.textAlign = "left";
    c.font = `500 13px ${FONT}`;
    c.fillStyle = up ? colours.ink : colours.muted;
    c.fillText(clip(c, p.id, left), x + 8, y + CELL.h / 2 + 0.5);
  }
}
