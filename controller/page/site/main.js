// What keeps the page alive: it reads the intent once and then its changes, and how
// far everything has come again and again, and hands them to what shows them.

import { Problem, get, watch } from "./api.js";
import { next } from "./cursor.js";
import { Detail } from "./detail.js";
import { SIGNS, attr, write } from "./dom.js";
import { read as readHash, write as writeHash } from "./hash.js";
import { List } from "./list.js";
import { Finder, World, overall, parseKey, plural, portHealth, routerHealth } from "./model.js";
import { Picture } from "./picture.js";
import { Rates, both, sum } from "./rates.js";
import { Search } from "./search.js";
import { begin as beginTheme } from "./theme.js";
import { Trace } from "./trace.js";

const $ = (id) => document.getElementById(id);

const EVERY = 2000; // ms between two readings, at least
const SHARE = 10; // and so many times what one takes, so that big switches are not kept busy
const SETTLING = 50; // ms in which changes that follow each other are drawn once, at least; and so many times what that takes

const page = {
  world: new World(),
  finder: new Finder(new World()),
  status: null,
  statuses: new Map(),
  rates: new Rates(),
  ways: [],
  open,
  close,
  trace: (more) => openTrace(more),
};
let state = readHash(location.hash);
let loaded = false;
let answered = 0; // when the daemon did so last
let before = null; // what had the focus before the panel

const picture = new Picture($("canvas"), { pick: (key) => (key ? open(key) : close()), moved: remember });
const list = new List({ grid: $("grid"), listed: $("listed"), open });
const detail = new Detail($("panel"), page);
const trace = new Trace({ panel: $("panel"), page, found });
const search = new Search({
  input: $("search"),
  hits: $("hits"),
  open: (key) => {
    open(key);
    picture.focus(key);
  },
  leave: () => (state.view === "list" ? $("grid") : $("canvas")).focus(),
});

beginTheme($("theme"), () => picture.recolour());
$("health").addEventListener("click", () => {
  before = document.activeElement;
  set({ open: "daemon:", trace: null });
  $("panel").focus();
});
$("view-picture").addEventListener("click", () => set({ view: "picture" }));
$("view-list").addEventListener("click", () => set({ view: "list" }));
$("open-trace").addEventListener("click", () => openTrace({}));
$("zoom-in").addEventListener("click", () => zoom(1.4));
$("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
$("zoom-all").addEventListener("click", () => picture.fit());
$("kinds").addEventListener("click", (e) => {
  const button = e.target.closest("button");
  if (!button) return;
  for (const b of $("kinds").children) attr(b, "aria-pressed", String(b === button));
  filter();
});
$("only").addEventListener("input", filter);
$("none").querySelector("button").addEventListener("click", () => load());
$("canvas").addEventListener("keydown", canvasKey);
document.addEventListener("keydown", pageKey);
window.addEventListener("hashchange", () => {
  const old = state;
  state = readHash(location.hash);
  if (old.open !== state.open || JSON.stringify(old.trace) !== JSON.stringify(state.trace)) detail.key = undefined;
  apply();
});
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));

// ---- What is shown ----

// set changes the state and the address, so that the browser can go back.
function set(change) {
  state = { ...state, ...change };
  history.pushState(null, "", "#" + writeHash(state));
  apply();
}

let remembering;

// remember puts the camera into the address, when it has come to rest.
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const { x, y, scale } = picture.camera;
    state.at = [x, y, scale];
    history.replaceState(null, "", "#" + writeHash(state));
  }, 400);
}

function filter() {
  const pressed = $("kinds").querySelector("[aria-pressed=true]");
  list.filter(pressed.dataset.kind, $("only").value);
}

// apply shows the state.
function apply() {
  const nothing = !$("none").hidden;
  $("picture").hidden = nothing || state.view !== "picture";
  $("list").hidden = nothing || state.view !== "list";
  attr($("view-picture"), "aria-pressed", String(state.view === "picture"));
  attr($("view-list"), "aria-pressed", String(state.view === "list"));
  picture.select(state.open);
  if (list.selected !== state.open) list.select(state.open);
  const panel = $("panel");
  if (!loaded) return;
  if (state.trace) {
    panel.hidden = false;
    if (detail.key !== "trace") {
      detail.live = [];
      detail.key = "trace";
      trace.show(state.trace);
    }
  } else {
    found([]);
    if (state.open === "daemon:") {
      panel.hidden = false;
      detail.about();
    } else if (state.open && detail.key !== state.open) {
      panel.hidden = !detail.show(state.open);
    } else if (!state.open) {
      panel.hidden = true;
      detail.key = null;
      detail.live = [];
    }
  }
}

// open shows an object beside the picture or the list.
function open(key) {
  if (!$("panel").contains(document.activeElement)) before = document.activeElement;
  picture.cursor = key;
  set({ open: key, trace: null });
  if (state.view === "picture") picture.bring(key);
  $("panel").focus({ preventScroll: true });
}

function close() {
  const had = $("panel").contains(document.activeElement);
  if (state.open || state.trace) set({ open: null, trace: null });
  if (had) (before?.isConnected && before !== document.body ? before : $("canvas")).focus();
}

function openTrace(more) {
  if (!$("panel").contains(document.activeElement)) before = document.activeElement;
  const { kind, id } = parseKey(state.open ?? "");
  detail.key = undefined;
  set({ trace: { ...(kind === "port" ? { from: id } : {}), ...(state.trace ?? {}), ...more } });
}

// found shows the ways of a trace.
function found(ways, asked) {
  page.ways = ways;
  picture.setWays(ways);
  if (!asked) return;
  picture.gather(picture.ways.flatMap((w) => w.keys));
  state.trace = asked;
  history.replaceState(null, "", "#" + writeHash(state));
}

// zoom zooms in on what is selected, if that is seen, else on the middle.
function zoom(factor) {
  const { camera } = picture;
  const at = state.open && picture.placeOf(state.open);
  const { x, y } = at && camera.sees(at.x, at.y, 0, 0) ? camera.toScreen(at.x, at.y) : { x: camera.w / 2, y: camera.h / 2 };
  camera.zoom(factor, x, y);
  picture.change();
}

// ---- The keyboard ----

function pageKey(e) {
  const typing = e.target.matches("input, select, textarea");
  if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
    e.preventDefault();
    $("search").focus();
    $("search").select();
  } else if (e.key === "Escape" && !$("panel").hidden) {
    close();
  }
}

function canvasKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const actions = { "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => picture.fit() };
  if (e.key.startsWith("Arrow")) {
    e.preventDefault();
    const to = next(picture.layout, page.world, picture.cursor ?? state.open, e.key);
    if (!to) return;
    picture.cursor = to;
    picture.bring(to);
    say(to);
  } else if ((e.key === "Enter" || e.key === " ") && picture.cursor) {
    e.preventDefault();
    open(picture.cursor);
  } else if (actions[e.key]) {
    e.preventDefault();
    actions[e.key]();
  }
}

// say tells a screen reader what the cursor is at.
function say(key) {
  const { kind, id } = parseKey(key);
  const o = page.world.get(key);
  if (!o) return;
  const words = {
    router: () => `router ${id}, ${routerHealth(page.statuses.get(id)).word}, ${plural((o.interfaces ?? []).length, "interface")}, out ${both(sum((o.interfaces ?? []).map((f) => page.rates.get(id, f.id))).out)}`,
    network: () => `network ${id}, ${plural(page.world.on.get(id)?.size ?? 0, "machine")}`,
    port: () => `machine ${id}, ${portHealth(o).word}, ${(o.addresses ?? []).join(", ")}`,
  };
  write($("said"), words[kind]());
}

// ---- What is read ----

let unwatch = null;
let polling;
let drawing = null;
let drawTook = 0; // ms
let loading = null;

// load reads the intent, and then hears of its changes.
function load() {
  loading ??= reload().finally(() => (loading = null));
  return loading;
}

async function reload() {
  stopWatching();
  try {
    const { body, etag } = await get("/v1/topology");
    alive();
    loaded = true;
    page.world = new World(body, Number(/^"r(\d+)/.exec(etag ?? "")?.[1] ?? 0));
    draw();
    startWatching();
  } catch (e) {
    gone(e);
  }
}

function startWatching() {
  unwatch = watch(page.world.revision, (event) => {
    page.world.change(event);
    drawing ??= setTimeout(draw, Math.max(SETTLING, drawTook * SHARE));
  }, () => {
    stopWatching();
    polling ??= setTimeout(poll, EVERY);
  });
}

function stopWatching() {
  unwatch?.();
  unwatch = null;
}

// draw shows the world after it has changed.
function draw() {
  clearTimeout(drawing);
  drawing = null;
  const began = performance.now();
  const { world } = page;
  page.finder = search.finder = new Finder(world);
  const first = picture.world === null;
  picture.show(world);
  if (first && state.at) picture.look(state.at);
  list.setWorld(world, page.finder);
  picture.setWays(page.ways);
  write($("counts"), `${plural(world.networks.size, "network")} · ${plural(world.routers.size, "router")} · ${plural(world.ports.size, "machine")}`);
  if (world.empty) {
    none("There is nothing yet", "No network, router or port is declared. Write a topology file, and have the daemon take it in:", "ofdvr apply -f topology.yaml");
  } else {
    $("none").hidden = true;
  }
  if (detail.stale()) detail.key = undefined;
  apply();
  performance.clearMeasures("draw");
  drawTook = performance.measure("draw", { start: began }).duration;
}

// poll reads how far everything has come, and what was counted.
async function poll() {
  clearTimeout(polling);
  polling = null;
  if (document.hidden) return;
  const began = performance.now();
  try {
    if (!loaded || !unwatch) await load();
    const [status, counters] = await Promise.all([get("/v1/status"), get("/v1/counters").catch((e) => e)]);
    alive();
    page.status = status.body;
    page.statuses = new Map(status.body.routers.map((r) => [r.id, r]));
    picture.setStatuses(status.body.routers);
    list.setStatuses(status.body.routers);
    if (!(counters instanceof Problem)) {
      page.rates.add(counters.body);
      picture.setRates(page.rates);
      list.setRates(page.rates);
    }
    showHealth(overall(page.status));
    detail.refresh();
  } catch (e) {
    gone(e);
  }
  const took = performance.now() - began;
  polling ??= setTimeout(poll, Math.max(EVERY, took * SHARE));
}

function rest() {
  clearTimeout(polling);
  polling = null;
  stopWatching();
}

function wake() {
  if (loaded) startWatching();
  poll();
}

function showHealth({ level, word }) {
  attr($("health"), "class", "pill " + level);
  $("health").querySelector("path").setAttribute("d", SIGNS[level]);
  write($("health").lastElementChild, word);
  document.title = level === "ok" ? "ofdvr" : `${word} – ofdvr`;
}

// alive notes that the daemon answers, and gone that it does not: what was known is
// shown all the same.
function alive() {
  answered = Date.now();
  $("banner").hidden = true;
  document.body.classList.remove("stale");
}

function gone(e) {
  stopWatching();
  showHealth({ level: "bad", word: "No answer" });
  if (!loaded) {
    none(e.status ? "The daemon refuses" : "The daemon does not answer", e.message[0].toUpperCase() + e.message.slice(1) + ". It is asked again every few seconds.", "", true);
    apply();
    return;
  }
  write($("banner"), `${e.message[0].toUpperCase() + e.message.slice(1)}. What is shown is as it was at ${new Date(answered).toLocaleTimeString()}.`);
  $("banner").hidden = false;
  document.body.classList.add("stale");
}

// none shows words in place of the picture and the list.
function none(title, text, example = "", again = false) {
  const box = $("none");
  write(box.querySelector("h2"), title);
  write(box.querySelector("p"), text);
  write(box.querySelector("pre"), example);
  box.querySelector("pre").hidden = !example;
  box.querySelector("button").hidden = !again;
  box.hidden = false;
}

apply();
poll();
