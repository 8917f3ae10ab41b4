// Names in the picture that have the same size however far away it is.

// spread moves boxes { x, y, w, h }, given by their middles, up or down until none covers
// another, each as little as possible, and into a view of a width and a height. The first
// ones keep their places.
export function spread(boxes, width, height) {
  const placed = [];
  const clamp = (v, least, most) => Math.min(Math.max(v, least), Math.max(least, most));
  for (const b of boxes) {
    b.x = clamp(b.x, b.w / 2 + 4, width - b.w / 2 - 4);
    b.y = clamp(b.y, b.h / 2 + 4, height - b.h / 2 - 4);
    const free = (y) => y >= b.h / 2 && y <= height - b.h / 2 && placed.every((o) => Math.abs(o.x - b.x) * 2 >= o.w + b.w || Math.abs(o.y - y) * 2 >= o.h + b.h);
    const step = 4;
    for (let k = 0; k * step < 2 * height; k++) {
      const y = b.y + (k % 2 ? 1 : -1) * Math.ceil(k / 2) * step;
      if (!free(y)) continue;
      b.y = y;
      break;
    }
    placed.push(b);
  }
  return boxes;
}
