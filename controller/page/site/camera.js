// A Camera says which part of the picture is seen: the point in the middle of the
// view, and how many pixels a unit has.

export const LEAST = 0.004;
export const MOST = 2.5;

export class Camera {
  constructor(x = 0, y = 0, scale = 1) {
    Object.assign(this, { x, y, scale, w: 1, h: 1 });
  }

  toScreen(x, y) {
    return { x: (x - this.x) * this.scale + this.w / 2, y: (y - this.y) * this.scale + this.h / 2 };
  }

  toWorld(x, y) {
    return { x: (x - this.w / 2) / this.scale + this.x, y: (y - this.h / 2) / this.scale + this.y };
  }

  // sees reports whether any of a box, given by its middle, is seen.
  sees(x, y, w, h) {
    return Math.abs(x - this.x) * 2 < w + this.w / this.scale && Math.abs(y - this.y) * 2 < h + this.h / this.scale;
  }

  // zoom changes the scale so that what is at a point of the screen stays there.
  zoom(factor, sx = this.w / 2, sy = this.h / 2) {
    const at = this.toWorld(sx, sy);
    this.scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    const now = this.toWorld(sx, sy);
    this.x += at.x - now.x;
    this.y += at.y - now.y;
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
  }

  // fit shows a box, not larger than at scale 1.1, and leaves room at the rims for what lies
  // over the picture there.
  fit(box, { side = this.w > 600 ? 64 : 30, top = 40, bottom = 64 } = {}) {
    const scale = Math.min((this.w - 2 * side) / Math.max(box.w, 1), (this.h - top - bottom) / Math.max(box.h, 1), 1.1);
    this.scale = Math.min(MOST, Math.max(LEAST, scale));
    this.x = box.x + box.w / 2;
    this.y = box.y + box.h / 2 + (bottom - top) / 2 / this.scale;
  }
}
