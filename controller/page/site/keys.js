// The keyboard: shortcuts of the page, and the way through the picture.

import { next } from "./cursor.js";
import { describe } from "./describe.js";
import { write } from "./dom.js";

// listen follows the keyboard. opened returns the key of the object that is open.
export function listen({ page, picture, tips, open, close, zoom, opened }) {
  const $ = (id) => document.getElementById(id);

  document.addEventListener("keydown", (e) => {
    const typing = e.target.matches("input, select, textarea");
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      $("search").focus();
      $("search").select();
    } else if (e.key === "Escape" && !$("panel").hidden) {
      close();
    }
  });

  const move = (to) => {
    picture.cursor = to;
    picture.bring(to);
    const what = describe(page, to);
    if (!what) return;
    write($("said"), [what.title, ...what.lines].join(", "));
    const at = picture.placeOf(to);
    const box = picture.canvas.getBoundingClientRect();
    const { x, y } = picture.camera.toScreen(at.x, at.y + at.h / 2);
    tips.show(what, x + box.x, y + box.y);
  };
  const actions = { "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => picture.fit() };
  picture.canvas.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key.startsWith("Arrow")) {
      e.preventDefault();
      const to = next(picture.layout, page.world, picture.cursor ?? opened(), e.key);
      if (to) move(to);
    } else if ((e.key === "Enter" || e.key === " ") && picture.cursor) {
      e.preventDefault();
      open(picture.cursor);
    } else if (actions[e.key]) {
      e.preventDefault();
      actions[e.key]();
    }
  });
}
