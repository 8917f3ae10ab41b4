// A list of any length from which one thing is chosen.

import { attr, h } from "./dom.js";
import { Rows, step } from "./rows.js";

let boxes = 0;

export class Listbox {
  // fill(row, item) writes an item into a row that make has made; chosen is called
  // with the item that is clicked or entered, moved with the one at the cursor.
  constructor({ label, rowHeight, most, make, fill, chosen, moved }) {
    this.name = "box" + ++boxes;
    this.items = [];
    this.at = -1;
    this.most = most;
    this.rowHeight = rowHeight;
    this.el = h("div", { class: "listbox", role: "listbox", "aria-label": label, tabindex: 0 });
    this.moved = moved;
    this.rows = new Rows(this.el, rowHeight, () => {
      const row = make();
      attr(row, "role", "option");
      row.addEventListener("click", () => {
        this.go(Number(row.dataset.i));
        chosen?.(this.items[this.at]);
      });
      return row;
    }, (row, i) => {
      row.id = this.name + "-" + i;
      attr(row, "aria-setsize", this.items.length);
      attr(row, "aria-posinset", i + 1);
      attr(row, "aria-selected", i === this.at ? "true" : "false");
      fill(row, this.items[i]);
    });
    this.el.addEventListener("keydown", (e) => {
      const to = step(e.key, this.at, this.items.length, this.rows.page);
      if (to !== undefined) {
        e.preventDefault();
        this.go(to);
      } else if (e.key === "Enter" && this.items[this.at]) {
        e.preventDefault();
        chosen?.(this.items[this.at]);
      }
    });
    this.el.addEventListener("focus", () => this.at < 0 && this.items.length && this.go(0));
  }

  set(items) {
    this.items = items;
    if (this.at >= items.length) this.at = items.length - 1;
    this.el.style.height = Math.min(this.most, Math.max(1, items.length)) * this.rowHeight + 2 + "px";
    this.el.hidden = items.length === 0;
    this.rows.set(items.length);
    this.mark();
  }

  go(i) {
    this.at = i;
    this.rows.reveal(i);
    this.mark();
    this.moved?.(this.items[i]);
  }

  mark() {
    for (const [i, row] of this.rows.used) attr(row, "aria-selected", i === this.at ? "true" : "false");
    attr(this.el, "aria-activedescendant", this.rows.used.has(this.at) && `${this.name}-${this.at}`);
  }
}
