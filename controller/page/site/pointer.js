// Mouse and fingers in the picture: they point at things, move it and zoom.

// listen has a picture follow the pointers on its canvas.
export function listen(picture) {
  const { canvas, camera } = picture;
  const pointers = new Map();
  let travelled = 0;
  const point = (e) => {
    const r = canvas.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  canvas.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    canvas.setPointerCapture(e.pointerId);
    pointers.set(e.pointerId, point(e));
    if (pointers.size === 1) travelled = 0;
    picture.hover(null);
  });
  canvas.addEventListener("pointermove", (e) => {
    const p = point(e);
    const before = pointers.get(e.pointerId);
    if (!before) {
      const key = picture.at(p.x, p.y) ?? picture.linkAt(p.x, p.y);
      canvas.style.cursor = key && !key.startsWith("link:") ? "pointer" : "grab";
      picture.hover(key, e.clientX, e.clientY);
      return;
    }
    pointers.set(e.pointerId, p);
    travelled += Math.abs(p.x - before.x) + Math.abs(p.y - before.y);
    if (pointers.size === 1) {
      if (travelled <= 4) return;
      canvas.style.cursor = "grabbing";
      camera.pan(p.x - before.x, p.y - before.y);
    } else {
      const [other] = [...pointers].filter(([id]) => id !== e.pointerId).map(([, o]) => o);
      const was = Math.hypot(before.x - other.x, before.y - other.y);
      const is = Math.hypot(p.x - other.x, p.y - other.y);
      if (was > 0) camera.zoom(is / was, (p.x + other.x) / 2, (p.y + other.y) / 2);
      camera.pan((p.x - before.x) / 2, (p.y - before.y) / 2);
    }
    picture.change();
  });
  const up = (e) => {
    const p = pointers.get(e.pointerId);
    pointers.delete(e.pointerId);
    if (p && e.type === "pointerup" && travelled <= 4) picture.pick(picture.at(p.x, p.y));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => picture.hover(null));
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    const p = point(e);
    const lines = e.deltaMode === 1 ? 16 : 1;
    camera.zoom(Math.exp(-e.deltaY * lines * (e.ctrlKey ? 0.01 : 0.0016)), p.x, p.y);
    picture.change();
  }, { passive: false });
  canvas.addEventListener("dblclick", (e) => {
    const p = point(e);
    camera.zoom(2, p.x, p.y);
    picture.change();
  });
  for (const type of ["focus", "blur"]) canvas.addEventListener(type, () => (picture.dirty = true));
}
