// A list of any length, of which only the rows that are seen exist.

import { h } from "./dom.js";

// shown returns which rows are seen, from a first to before a last, and a few beyond
// either end.
export function shown(scrolled, height, rowHeight, count, beyond = 4) {
  const first = Math.max(0, Math.floor(scrolled / rowHeight) - beyond);
  const last = Math.min(count, Math.ceil((scrolled + height) / rowHeight) + beyond);
  return [Math.min(first, count), Math.max(last, 0)];
}

// Rows shows count rows in box, which scrolls. make returns an empty row, and fill
// writes the ith into it. Rows are used again for others.
export class Rows {
  constructor(box, rowHeight, make, fill) {
    Object.assign(this, { box, rowHeight, make, fill });
    this.count = 0;
    this.free = [];
    this.used = new Map(); // by index
    this.inner = h("div", { class: "rows", role: box.getAttribute("role") === "grid" ? "rowgroup" : "presentation" });
    box.append(this.inner);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  // set sets the number of rows, and fills all visible ones again.
  set(count) {
    this.count = count;
    this.inner.style.height = count * this.rowHeight + "px";
    for (const [i, row] of this.used) {
      if (i >= count) this.release(i, row);
      else this.fill(row, i);
    }
    this.draw();
  }

  release(i, row) {
    this.used.delete(i);
    row.remove();
    this.free.push(row);
  }

  draw() {
    const head = this.inner.offsetTop;
    const [first, last] = shown(this.box.scrollTop - head, this.box.clientHeight, this.rowHeight, this.count);
    for (const [i, row] of this.used) {
      if (i < first || i >= last) this.release(i, row);
    }
    for (let i = first; i < last; i++) {
      if (this.used.has(i)) continue;
      const row = this.free.pop() ?? this.make();
      row.style.transform = `translateY(${i * this.rowHeight}px)`;
      this.fill(row, i);
      this.used.set(i, row);
      const after = [...this.inner.children].find((other) => Number(other.dataset.i) > i);
      row.dataset.i = i;
      this.inner.insertBefore(row, after ?? null);
    }
    if (this.free.length > 100) this.free.length = 100;
  }

  // reveal scrolls so that the ith row is seen.
  reveal(i) {
    const head = this.inner.offsetTop;
    const top = i * this.rowHeight;
    const view = this.box.clientHeight - head;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > this.box.scrollTop + view) this.box.scrollTop = top + this.rowHeight - view;
    this.draw();
  }

  get page() {
    return Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight) - 1);
  }
}

// step returns where a key leads in a list of count, from the ith; undefined if it is
// no key of a list.
export function step(key, i, count, page) {
  const to = { ArrowDown: i + 1, ArrowUp: i - 1, PageDown: i + page, PageUp: i - page, Home: 0, End: count - 1 }[key];
  return to === undefined || count === 0 ? undefined : Math.min(count - 1, Math.max(0, to));
}
