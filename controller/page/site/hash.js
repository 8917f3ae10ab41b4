// The state of the page in its address, so that it can be sent to somebody.

// read returns the state that the part of an address after # says.
export function read(hash) {
  const q = new URLSearchParams(hash.replace(/^#/, ""));
  const at = (q.get("at") ?? "").split(",").map(Number);
  return {
    view: q.get("view") === "list" ? "list" : "picture",
    open: q.get("open") || null,
    trace: q.has("trace") ? Object.fromEntries(new URLSearchParams(q.get("trace"))) : null,
    at: at.length === 3 && at.every(Number.isFinite) && at[2] > 0 ? at : null,
  };
}

// write is the opposite of read.
export function write({ view, open, trace, at }) {
  const q = new URLSearchParams();
  if (view === "list") q.set("view", view);
  if (open) q.set("open", open);
  if (trace) q.set("trace", String(new URLSearchParams(trace)));
  if (at) q.set("at", at.map((n, i) => Number(n.toFixed(i === 2 ? 4 : 0))).join(","));
  return String(q);
}
