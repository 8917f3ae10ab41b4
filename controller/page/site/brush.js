// What drawing on a canvas needs: at which scale what is seen, shapes and words.

export const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';
export const READ = 12; // pixels of a letter that can be read
export const NAMES = 0.13; // from this scale on, networks have names
export const FLOWS = 0.28; // from this scale on, links have rates
export const NEAR = 0.5; // from this scale on, machines are shown
export const LINES = 0.75; // from this scale on, cards have second lines
export const FULL = 1; // from this scale on, rates are in packets too

// box makes a rectangle with round corners the path.
export function box(c, x, y, w, h, r) {
  c.beginPath();
  c.roundRect(x, y, w, h, r);
}

// arrow draws the head of an arrow that points in a direction.
export function arrow(c, x, y, angle, r, colour) {
  c.fillStyle = colour;
  c.beginPath();
  c.moveTo(x + Math.cos(angle) * r, y + Math.sin(angle) * r);
  for (const turn of [2.45, -2.45]) c.lineTo(x + Math.cos(angle + turn) * r, y + Math.sin(angle + turn) * r);
  c.fill();
}

const widths = new Map(); // of texts, by font; measuring is slow
const clipped = new Map();

// measured returns the width of a text.
export function measured(c, text) {
  const key = c.font + "\n" + text;
  let w = widths.get(key);
  if (w === undefined) {
    if (widths.size > 50000) widths.clear();
    widths.set(key, (w = c.measureText(text).width));
  }
  return w;
}

// clip shortens a text in its middle, where IDs differ least, until it fits.
export function clip(c, text, width) {
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
