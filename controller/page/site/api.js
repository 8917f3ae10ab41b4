// The API, as far as the page reads it.

// A Problem is an answer that is no success, or none at all.
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status; // 0: nobody answered
  }
}

const PATIENCE = 15000; // ms that an answer may take

// get returns what the API answers, as { body, etag, age, took }. Age is how many seconds
// ago the answer was made.
export async function get(path, query) {
  const search = query ? "?" + new URLSearchParams(query) : "";
  const began = performance.now();
  let r;
  let body;
  try {
    r = await fetch(path + search, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store", headers: { Accept: "application/json" } });
    body = await r.json();
  } catch (e) {
    if (r && !r.ok) throw new Problem(r.status, `${path} was answered with status ${r.status}`);
    throw new Problem(0, e.name === "TimeoutError" ? "the daemon does not answer in time" : "the daemon does not answer");
  }
  if (!r.ok) throw new Problem(r.status, [body.detail, ...(body.errors ?? []).map((m) => m.detail)].join(": "));
  return { body, etag: r.headers.get("ETag"), age: Number(r.headers.get("Age") ?? 0), took: performance.now() - began };
}

// objectPath returns the path of an object: its ID may have any characters.
export function objectPath(kind, id) {
  const escaped = encodeURIComponent(id).replace(/^\.{1,2}$/, (dots) => dots.replaceAll(".", "%2E"));
  return `/v1/${kind}s/${escaped}`;
}

const OPS = ["created", "updated", "deleted"];

// watch tells of each change after a revision. The function that it returns ends
// it. lost is called when the changes since are not known any more, or nobody
// answers for good: everything has to be read again.
export function watch(since, changed, lost) {
  const source = new EventSource("/v1/watch?since=" + since);
  const end = () => source.close();
  for (const kind of ["network", "router", "port"]) {
    for (const op of OPS) {
      source.addEventListener(`${kind}-${op}`, (e) => changed(JSON.parse(e.data)));
    }
  }
  source.addEventListener("compacted", () => {
    end();
    lost();
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) lost();
  };
  return end;
}
