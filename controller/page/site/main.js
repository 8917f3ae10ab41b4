// The page as a whole: it reads the intent once and then its changes, reads the status and
// the counters again and again, and hands them to the parts that show them.

import { Problem, get, watch } from "./api.js";
import { describe } from "./describe.js";
import { Detail } from "./detail.js";
import { SIGNS, attr, write } from "./dom.js";
import { read as readHash, write as writeHash } from "./hash.js";
import { History } from "./history.js";
import { listen as listenToKeys } from "./keys.js";
import { fill as fillLegend } from "./legend.js";
import { List } from "./list.js";
import { Machines } from "./machines.js";
import { Finder, World, byID, keyOf, overall, parseKey, plural } from "./model.js";
import { WHOLE, centreOf, holds, near, words } from "./near.js";
import { Overview, broken, busiest } from "./overview.js";
import { Picture } from "./picture.js";
import { Rates } from "./rates.js";
import { Search } from "./search.js";
import { begin as beginTheme } from "./theme.js";
import { stamp } from "./time.js";
import { Tips } from "./tips.js";
import { Trace } from "./trace.js";

const $ = (id) => document.getElementById(id);

const EVERY = 2000; // ms between two readings, at least
const SHARE = 10; // and so many times what one takes, so that big switches are not kept busy
const SETTLING = 50; // ms in which changes that follow each other are drawn once, at least; and so many times what that takes

const host = document.querySelector("meta[name=host]").content;
const page = {
  world: new World(),
  finder: new Finder(new World()),
  status: null,
  statuses: new Map(),
  rates: new Rates(),
  history: new History(),
  machines: new Machines(),
  ways: [],
  open,
  close,
  trace: (more) => openTrace(more),
};
let state = readHash(location.hash);
let loaded = false;
let answered = 0; // when the daemon did so last
let before = null; // what had the focus before the panel
let around; // the key of what the picture is around; undefined: it shows everything
let settled = false; // around was chosen when the status was known

const tips = new Tips($("tip"));
const picture = new Picture($("canvas"), { pick: (key) => (key ? open(key) : close()), moved: remember, over: (key, x, y) => tips.show(key && describe(page, key), x, y) });
const overview = new Overview($("overview"), page, { open, list: listIll });
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
  leave: () => ({ list: $("grid"), picture: $("canvas"), overview: $("overview") })[view()].focus(),
});

fillLegend($("legend"));
const narrow = matchMedia("(max-width: 600px)");
const fold = () => ($("legend").open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();
beginTheme($("theme"), () => picture.recolour());
listenToKeys({ page, picture, tips, open, close, zoom, opened: () => state.open });
$("health").addEventListener("click", () => {
  before = document.activeElement;
  set({ open: "daemon:", trace: null });
  $("panel").focus();
});
for (const name of ["overview", "picture", "list"]) $("view-" + name).addEventListener("click", () => set({ view: name }));
$("open-trace").addEventListener("click", () => openTrace({}));
$("zoom-in").addEventListener("click", () => zoom(1.4));
$("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
$("zoom-all").addEventListener("click", () => picture.fit());
$("kinds").addEventListener("click", (e) => e.target.closest("button") && showKind(e.target.closest("button").dataset.kind));
$("only").addEventListener("input", filter);
$("none").querySelector("button").addEventListener("click", () => load());
window.addEventListener("hashchange", () => {
  const old = state;
  state = readHash(location.hash);
  if (old.open !== state.open || JSON.stringify(old.trace) !== JSON.stringify(state.trace)) detail.key = undefined;
  apply();
});
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));

// ---- What is shown ----

const many = () => page.world.routers.size > WHOLE;

// view returns which view is shown: with many routers first the overview.
function view() {
  if (state.view) return state.view;
  return many() && !state.trace && !page.world.get(state.open ?? "daemon:") ? "overview" : "picture";
}

// set changes the state and the address, so that the browser can go back.
function set(change) {
  state = { ...state, ...change };
  history.pushState(null, "", "#" + writeHash(state));
  apply();
}

let remembering;

// remember puts the camera into the address when it is at rest.
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

function showKind(kind) {
  for (const b of $("kinds").children) attr(b, "aria-pressed", String(b.dataset.kind === kind));
  filter();
}

// listIll shows the list of routers or machines, those first that are not well.
function listIll(kind) {
  $("only").value = "";
  set({ view: "list" });
  showKind(kind);
  list.sortBy("state", false);
  $("grid").focus();
}

// centre returns the key of what the picture is to be around: what the address says, or the
// router of what is open, or one that is not well, or the busiest.
function centre() {
  const { world } = page;
  if (!many()) return undefined;
  if (state.near && world.get(state.near)) return state.near;
  const opened = centreOf(world, state.open);
  if (opened) return opened;
  if (settled && around && world.get(around)) return around;
  const id = broken(page.status?.routers ?? []).map((r) => r.id).find((x) => world.routers.has(x)) ?? busiest(world, page.rates, page.history)[0];
  return keyOf("router", id ?? [...world.routers.keys()].sort(byID)[0]);
}

// showPicture has the picture show everything, or a neighbourhood.
function showPicture() {
  around = centre();
  settled = page.status !== null;
  const { world } = page;
  const part = around ? near(world, around) : world;
  $("around").hidden = !around;
  if (around) write($("around"), words(world, part, around));
  picture.show(part, around);
  picture.setWays(page.ways);
}

// apply shows the state.
function apply() {
  const nothing = !$("none").hidden;
  const now = view();
  for (const name of ["overview", "picture", "list"]) {
    $(name).hidden = nothing || now !== name;
    attr($("view-" + name), "aria-pressed", String(now === name));
  }
  tips.hide();
  if (loaded && now === "picture" && centre() !== around) showPicture();
  if (now === "overview") {
    overview.draw();
    overview.refreshEvents();
  }
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
  const change = { open: key, trace: null };
  if (view() === "overview") change.view = "picture";
  if (many() && (parseKey(key).kind === "router" || !picture.world || !holds(picture.world, key))) Object.assign(change, { near: centreOf(page.world, key) ?? null, at: null });
  set(change);
  if (view() === "picture") picture.bring(key);
  $("panel").focus({ preventScroll: true });
}

function close() {
  const had = $("panel").contains(document.activeElement);
  if (state.open || state.trace) set({ open: null, trace: null });
  if (had) (before?.isConnected && before.checkVisibility() && before !== document.body ? before : $("canvas")).focus();
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
  const router = many() && ways.find((w) => w.router)?.router;
  if (router) state.near = keyOf("router", router);
  if (router && around !== state.near) showPicture();
  else picture.setWays(ways);
  if (!asked) return;
  picture.gather(picture.ways.flatMap((w) => w.keys));
  state.trace = asked;
  history.replaceState(null, "", "#" + writeHash(state));
}

function zoom(factor) {
  picture.zoom(factor, state.open);
}

// ---- What is read ----

let unwatch = null;
let polling;
let drawing = null;
let drawTook = 0; // ms
let loading = null;

// load reads the intent, and then watches its changes.
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
  showPicture();
  if (first && state.at) picture.look(state.at);
  list.setWorld(world, page.finder);
  write($("counts"), `${plural(world.networks.size, "network")} · ${plural(world.routers.size, "router")} · ${plural(world.ports.size, "machine")}`);
  if (world.empty) {
    none("No networks or routers yet", "Describe networks, routers and machines in a topology file and apply it:", "ofdvr apply -f topology.yaml");
  } else {
    $("none").hidden = true;
  }
  if (detail.stale()) detail.key = undefined;
  apply();
  performance.clearMeasures("draw");
  drawTook = performance.measure("draw", { start: began }).duration;
}

// poll reads the status, the counters and the history.
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
    if (await page.machines.refresh()) [picture, list].forEach((part) => part.setMachines(page.machines));
    showHealth(overall(page.status));
    const { kind, id } = parseKey(state.open ?? "");
    await page.history.refresh(kind === "router" ? id : null);
    if (!settled && many()) apply();
    overview.draw();
    overview.refreshEvents();
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
  document.title = [level === "ok" ? host : host ? `${host}: ${word}` : word, "ofdvr"].filter(Boolean).join(" – ");
}

// alive notes that the daemon answers, and gone that it does not; the page goes on showing
// what it has read.
function alive() {
  answered = Date.now();
  $("banner").hidden = true;
  document.body.classList.remove("stale");
}

function gone(e) {
  stopWatching();
  showHealth({ level: "bad", word: "No answer" });
  if (!loaded) {
    none(e.status ? "The daemon refuses" : "The daemon does not answer", e.message[0].toUpperCase() + e.message.slice(1) + ". The page tries again every few seconds.", "", true);
    apply();
    return;
  }
  write($("banner"), `${e.message[0].toUpperCase() + e.message.slice(1)}. The page shows what it read at ${stamp(answered)}.`);
  $("banner").hidden = false;
  document.body.classList.add("stale");
}

// none shows words in place of the picture and the list.
function none(title, text, example = "", again = false) {
  const box = $("none");
  for (const [part, words] of [["h2", title], ["p", text], ["pre", example]]) write(box.querySelector(part), words);
  box.querySelector("pre").hidden = !example;
  box.querySelector("button").hidden = !again;
  box.hidden = false;
}

apply();
poll();
