// The tip: what the thing is that the pointer or the focus is on.

import { h } from "./dom.js";

export class Tips {
  constructor(el) {
    this.el = el;
    const near = (e) => e.target.closest?.("[data-tip]");
    const show = (e) => {
      const at = near(e);
      if (!at) return;
      const r = at.getBoundingClientRect();
      this.show({ title: at.dataset.tip, lines: [] }, r.left + r.width / 2, r.bottom);
    };
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", (e) => e.target.matches(":focus-visible") && show(e));
    document.addEventListener("pointerout", (e) => near(e) && this.hide());
    document.addEventListener("focusout", () => this.hide());
    document.addEventListener("keydown", (e) => e.key === "Escape" && this.hide());
    document.addEventListener("scroll", () => this.hide(), { capture: true, passive: true });
  }

  // show shows what something is, below or above a point of the window, or hides the tip
  // if it is nothing.
  show(what, x, y) {
    if (!what) {
      this.hide();
      return;
    }
    const { el } = this;
    el.replaceChildren(h("strong", {}, what.title), ...what.lines.map((line) => h("span", {}, line)));
    el.hidden = false;
    const { offsetWidth: w, offsetHeight: height } = el;
    const below = y + 14 + height < innerHeight;
    el.style.left = Math.max(6, Math.min(x - w / 2, innerWidth - w - 6)) + "px";
    el.style.top = (below ? y + 10 : Math.max(6, y - height - 14)) + "px";
  }

  hide() {
    this.el.hidden = true;
  }
}
