// The state of the page in its address, so that a link shows others the same.

const VIEWS = ["overview", "picture", "list"];

// read returns the state that the part of an address after # says.
export function read(hash) {
  const q = new URLSearchParams(hash.replace(/^#/, ""));
  const at = (q.get("at") ?? "").split(",").map(Number);
  return {
    view: VIEWS.includes(q.get("view")) ? q.get("view") : null, // null: as fits what there is
    open: q.get("open") || null,
    near: q.get("near") || null, // what the picture is around
    trace: q.has("trace") ? Object.fromEntries(new URLSearchParams(q.get("trace"))) : null,
    at: at.length === 3 && at.every(Number.isFinite) && at[2] > 0 ? at : null,
  };
}

// write is the opposite of read.
export function write({ view, open, near, trace, at }) {
  const q = new URLSearchParams();
  if (view) q.set("view", view);
  if (open) q.set("open", open);
  if (near) q.set("near", near);
  if (trace) q.set("trace", String(new URLSearchParams(trace)));
  if (at) q.set("at", at.map((n, i) => Number(n.toFixed(i === 2 ? 4 : 0))).join(","));
  return String(q);
}
