// The search: a field with what is found below it.

import { attr, h } from "./dom.js";
import { addressesOf, nameOf } from "./model.js";

const MOST = 12; // that are offered
const KINDS = { router: "Router", network: "Network", port: "Machine" };

export class Search {
  // open is called with the key of what was chosen; before that, and when the search
  // is given up, leave is, to move the focus on.
  constructor({ input, hits, open, leave }) {
    Object.assign(this, { input, hits, open, leave });
    this.found = [];
    this.at = -1;
    input.addEventListener("input", () => this.look());
    input.addEventListener("focus", () => input.value && this.look());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (e) => this.key(e));
    hits.addEventListener("mousedown", (e) => e.preventDefault()); // keeps the focus
    hits.addEventListener("click", (e) => {
      const i = [...hits.children].indexOf(e.target.closest("[role=option]"));
      if (this.found[i]) this.choose(i);
    });
  }

  look() {
    const what = this.input.value.trim();
    this.found = what && this.finder ? this.finder.find(what, MOST) : [];
    this.at = this.found.length ? 0 : -1;
    this.hits.replaceChildren(...this.found.map((e, i) => h("li", { role: "option", id: "hit-" + i, "aria-selected": i === this.at ? "true" : "false" },
      h("span", { class: "id" }, nameOf(e.object)), h("span", { class: "what" }, KINDS[e.kind]), h("span", { class: "address" }, this.why(e, what)))));
    if (what && !this.found.length) this.hits.replaceChildren(h("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "nothing" }, "Nothing has that in its ID or addresses"));
    this.hits.hidden = !what;
    attr(this.input, "aria-expanded", String(!!what));
    this.mark();
  }

  // why returns the address by which something was found, or its first.
  why(e, what) {
    const all = [...addressesOf(e.kind, e.object), ...(e.object.mac ? [e.object.mac] : []), ...(e.object.interfaces ?? []).map((f) => f.mac)];
    return all.find((a) => a.toLowerCase().includes(what.toLowerCase())) ?? all[0] ?? "";
  }

  mark() {
    [...this.hits.children].forEach((li, i) => li.hasAttribute("aria-disabled") || attr(li, "aria-selected", i === this.at ? "true" : "false"));
    attr(this.input, "aria-activedescendant", this.at >= 0 && !this.hits.hidden && "hit-" + this.at);
    this.hits.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  key(e) {
    const n = this.found.length;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      if (!n) return;
      e.preventDefault();
      this.at = (this.at + (e.key === "ArrowDown" ? 1 : n - 1)) % n;
      this.mark();
    } else if (e.key === "Enter" && this.at >= 0) {
      e.preventDefault();
      this.choose(this.at);
    } else if (e.key === "Escape") {
      e.preventDefault();
      e.stopPropagation();
      if (this.hits.hidden && !this.input.value) this.leave();
      this.input.value = "";
      this.close();
    }
  }

  choose(i) {
    const { key } = this.found[i];
    this.input.value = "";
    this.close();
    this.leave();
    this.open(key);
  }

  close() {
    this.hits.hidden = true;
    attr(this.input, "aria-expanded", "false");
    attr(this.input, "aria-activedescendant", false);
  }
}
