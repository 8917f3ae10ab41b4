package e2e

import (
	"testing"

	"github.com/ofdvr/ofdvr/test/browser"
	"github.com/ofdvr/ofdvr/test/lab"
)

// laws has properties of those modules of the page that compute results only from their arguments.
// Each is an async function of the modules. It returns a description of a violation, if it finds
// one.
var laws = map[string]string{
	"cards do not overlap, and each machine has a cell of its network's card, or is counted in the last one": `({layout: {layout, cellOf}}, {town}) => {
		for (let seed = 1; seed < 40; seed++) {
			const {nodes} = layout(town(seed));
			for (const a of nodes) {
				for (const b of nodes) {
					if (a !== b && Math.abs(a.x - b.x) * 2 < a.w + b.w && Math.abs(a.y - b.y) * 2 < a.h + b.h) return "seed " + seed + ": " + a.key + " and " + b.key;
				}
				if (a.kind !== "network") continue;
				if (a.ports.length + a.rest !== a.count || a.ports.length > 40) return a.key + " does not show each machine exactly once";
				const cells = Array.from({length: a.ports.length + (a.rest > 0)}, (_, i) => cellOf(a, i));
				if (cells.some((c) => c.x < a.x - a.w / 2 || c.x + c.w > a.x + a.w / 2 || c.y < a.y - a.h / 2 || c.y + c.h > a.y + a.h / 2)) return a.key + " has machines outside";
				if (new Set(cells.map((c) => c.x + "," + c.y)).size !== cells.length) return a.key + " has machines in one place";
			}
		}
	}`,
	"the layout depends on the objects, not on their order": `({layout: {layout}, model: {World}}, {town, topologyOf}) => {
		for (let seed = 1; seed < 20; seed++) {
			const world = town(seed);
			const t = topologyOf(world);
			const other = new World({networks: t.networks.toReversed(), routers: t.routers.toReversed(), ports: t.ports.toReversed()});
			const places = (w) => JSON.stringify(layout(w).nodes.map((n) => [n.key, n.x, n.y, n.w, n.h]));
			if (places(world) !== places(other)) return "seed " + seed;
		}
	}`,
	"every interface is drawn as a link, and all objects are inside the bounding box": `({layout: {layout}}, {town}) => {
		for (let seed = 1; seed < 20; seed++) {
			const world = town(seed);
			const {nodes, edges, box} = layout(world);
			const n = [...world.routers.values()].reduce((sum, r) => sum + r.interfaces.length, 0);
			if (edges.length !== n || nodes.length !== world.routers.size + world.networks.size) return "seed " + seed;
			for (const a of nodes) {
				if (!(a.x - a.w / 2 >= box.x - 1e-6 && a.x + a.w / 2 <= box.x + box.w + 1e-6 && a.y - a.h / 2 >= box.y - 1e-6 && a.y + a.h / 2 <= box.y + box.h + 1e-6)) return a.key + " is outside";
			}
		}
	}`,
	"applying events gives the same objects as reading all of them again": `({model: {World}}, {town, topologyOf, random}) => {
		for (let seed = 1; seed < 20; seed++) {
			const to = topologyOf(town(seed + 1));
			const world = town(seed);
			const events = [];
			for (const [kind, name] of [["port", "ports"], ["router", "routers"], ["network", "networks"]]) {
				for (const o of topologyOf(world)[name]) events.push({kind, id: o.id, op: "deleted"});
				for (const o of to[name]) events.push({kind, id: o.id, op: "updated", object: o});
			}
			to.hosts = [{id: to.networks[0].id, tunnel: {address: "192.0.2.1"}}];
			events.push(...["a", to.hosts[0].id].map((id) => ({kind: "host", id, op: "created", object: {id, tunnel: to.hosts[0].tunnel}})), {kind: "host", id: "a", op: "deleted"});
			events.forEach((e, i) => world.change({revision: i, ...e}));
			const all = (w) => JSON.stringify([...w.networks.keys()].sort().map((n) => [n, w.portsOn(n)]).concat([...w.routers].sort(), [...w.hosts]));
			if (all(world) !== all(new World(to))) return "seed " + seed;
			if (world.revision !== events.length - 1) return "revision " + world.revision;
		}
	}`,
	"a rate is the difference of two readings divided by the time between them": `({rates: {Rates}}) => {
		const reading = (s, n) => ({at: s, ports: [{router: "r", interface: "i", port: "p", packets: 3 * n, bytes: 30 * n}, {router: "r2", interface: "i", port: "p", packets: n, bytes: n}], interfaces: [{router: "r", interface: "i", routed_packets: 10 * n, routed_bytes: 1000 * n, received_packets: 5 * n, received_bytes: 50 * n, fallback: {ttl: n, mtu: n}}]});
		const rates = new Rates();
		rates.add(reading(0, 7));
		if (rates.get("r", "i").out.bits !== 0) return "a single reading gives a rate";
		rates.add(reading(2, 9));
		const r = rates.get("r", "i");
		if (r.out.bits !== 8000 || r.out.packets !== 10 || r.in.packets !== 5 || r.in.bits !== 400 || r.kernel !== 2) return JSON.stringify(r);
		if (rates.to.get("p").packets !== 4 || rates.to.get("p").bits !== 248) return "ports: " + JSON.stringify(rates.to.get("p"));
		rates.add(reading(2.1, 9));
		if (rates.get("r", "i").out.bits !== 8000) return "the same reading is counted twice";
		for (let s = 4; s < 40; s += 2) rates.add(reading(s, 9));
		if (rates.get("r", "i").out.bits !== 0) return "the rate does not end";
		rates.add(reading(42, 3));
		if (rates.get("r", "i").out.bits !== 0) return "decreasing counters have a rate";
		rates.add(reading(10, 50));
		if (rates.get("r", "i").out.bits !== 0) return "the first reading after a restart of the daemon gives a rate";
		rates.add(reading(12, 52));
		if (rates.get("r", "i").out.bits !== 8000) return "two readings after a restart of the daemon give no rate";
	}`,
	"numbers are written with their unit": `({rates: {bits, packets, weight}}) => {
		const got = [0, 0.4, 9.9, 12, 999, 999.6, 1234, 99949, 99950, 999499, 1e6, 1.5e9, 2e12, 5e16].map(bits).join("; ");
		const want = "0 b/s; 0.4 b/s; 9.9 b/s; 12 b/s; 999 b/s; 1.0 kb/s; 1.2 kb/s; 99.9 kb/s; 100 kb/s; 999 kb/s; 1.0 Mb/s; 1.5 Gb/s; 2.0 Tb/s; 50000 Tb/s";
		if (got !== want) return got;
		if (packets(1500) !== "1.5 kpkt/s" || weight(0) !== 0 || weight(1e12) !== 1 || !(weight(1e3) < weight(1e6))) return "weights";
	}`,
	"a search finds objects, by ID first": `({model: {Finder, World}}, {town}) => {
		const world = new World({routers: [{id: "a1", interfaces: [{id: "if", network: "n", mac: "02:00:00:00:00:aa", addresses: ["10.0.0.1/24"]}]}], networks: [{id: "n"}],
			ports: [{id: "xa1", network: "n", mac: "02:00:00:00:00:01", addresses: ["10.0.0.7", "fd00::7"]}, {id: "a10", network: "n", mac: "02:00:00:00:00:02", addresses: ["10.0.0.17"]}]});
		const f = new Finder(world);
		const find = (q, ...more) => f.find(q, ...more).map((e) => e.id).join();
		for (const [q, want] of [["a1", "a1,a10,xa1"], ["A1 ", "a1,a10,xa1"], ["fd00::7", "xa1"], ["00:aa", "a1"], ["10.0.0.7", "xa1"], ["0.17", "a10"], ["", "a1,n,a10,xa1"], ["zz", ""], ["if", "a1"]]) {
			if (find(q) !== want) return q + ": " + find(q);
		}
		if (find("a1", 1) !== "a1" || find("a", 9, "port") !== "a10,xa1") return "limits";
	}`,
	"the address encodes the state, and decoding it gives the same state": `({hash: {read, write}}) => {
		for (const s of [{view: null, open: null, near: null, trace: null, at: null}, {view: "picture", open: null, near: "router:r 1", trace: null, at: null}, {view: "list", open: "port:a&b=c #/:\"", near: null, trace: {from: "a b", to: "fd00::1", proto: "tcp", dport: "443"}, at: [12, -7, 0.25]}]) {
			if (JSON.stringify(read("#" + write(s))) !== JSON.stringify(s)) return write(s);
		}
		for (const bad of ["", "#", "#at=1,2", "#at=x,y,z", "#at=0,0,0", "#view=none", "#%"]) if (read(bad).at !== null || read(bad).view !== null) return bad;
	}`,
	"the list renders only the visible rows": `({rows: {shown, step}}) => {
		for (let i = 0; i < 2000; i++) {
			const [scrolled, height, row, count] = [Math.random() * 1e5, Math.random() * 900, 20 + Math.random() * 60, Math.floor(Math.random() * 3000)];
			const [first, last] = shown(scrolled, height, row, count);
			if (first < 0 || last > count || last - first > height / row + 10) return [scrolled, height, row, count].join();
			for (let k = 0; k < count; k++) {
				if ((k + 1) * row > scrolled && k * row < scrolled + height && (k < first || k >= last)) return "row " + k + " of " + [scrolled, height, row, count].join();
			}
		}
		if (step("PageDown", 5, 8, 10) !== 7 || step("ArrowUp", 0, 8, 10) !== 0 || step("x", 0, 8, 10) !== undefined || step("End", -1, 0, 1) !== undefined) return "steps";
	}`,
	"zooming keeps the point under the pointer, and fitting shows everything": `({camera: {Camera}}) => {
		for (let i = 0; i < 500; i++) {
			const c = Object.assign(new Camera(Math.random() * 1e4, Math.random() * 1e4, 0.01 + Math.random()), {w: 300 + Math.random() * 1000, h: 300 + Math.random() * 800});
			const [x, y] = [Math.random() * c.w, Math.random() * c.h];
			const before = c.toWorld(x, y);
			c.zoom(0.2 + Math.random() * 4, x, y);
			const after = c.toScreen(before.x, before.y);
			if (Math.hypot(after.x - x, after.y - y) > 1e-6) return "the point moves";
			const box = {x: -500, y: 70, w: Math.random() * 1e4, h: Math.random() * 1e4};
			c.fit(box);
			for (const [bx, by] of [[box.x, box.y], [box.x + box.w, box.y + box.h]]) {
				const s = c.toScreen(bx, by);
				if (s.x < 0 || s.y < 0 || s.x > c.w || s.y > c.h) return "it does not fit";
			}
		}
	}`,
	"with arrow keys, every object can be reached from every other": `({cursor: {next}, layout: {layout}, model: {keyOf}}, {town}) => {
		for (let seed = 1; seed < 12; seed++) {
			const world = town(seed);
			const l = layout(world);
			const start = next(l, world, null, "ArrowRight");
			if (!start) return world.empty ? undefined : "no first object";
			const seen = new Set([start]);
			for (const key of seen) {
				for (const arrow of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) {
					const to = next(l, world, key, arrow);
					if (to !== undefined && world.get(to) === undefined) return key + " leads to " + to;
					if (to) seen.add(to);
				}
			}
			const all = [...world.routers.keys()].map((id) => keyOf("router", id)).concat([...world.networks.keys()].map((id) => keyOf("network", id)), l.nodes.flatMap((n) => n.ports ?? []).map((p) => keyOf("port", p.id)));
			const missed = all.filter((key) => !seen.has(key));
			if (missed.length) return "seed " + seed + ": nothing leads to " + missed.slice(0, 5);
		}
	}`,
	"each state of health has a text, and the worst state counts": `({model: {routerHealth, portHealth, overall, worst}}) => {
		const r = (o) => ({id: "r", connected: true, state: "settled", settled: true, ...o});
		for (const [status, want] of [[undefined, "busy"], [r({}), "ok"], [r({connected: false}), "bad"], [r({state: "degraded"}), "warn"], [r({problems: ["x"]}), "warn"], [r({settled: false, state: "reading"}), "busy"], [r({state: "standby"}), "idle"]]) {
			const h = routerHealth(status);
			if (h.level !== want || !h.word) return JSON.stringify(status) + ": " + JSON.stringify(h);
		}
		const s = (o) => overall({settled: false, routers: [r({})], ...o}).level;
		if (s({settled: true}) !== "ok" || s({}) !== "busy" || s({standby: true}) !== "idle" || s({problems: ["x"]}) !== "warn" || s({routers: [r({}), r({connected: false})]}) !== "bad" || s({ovsdb: {connected: false}}) !== "bad") return "overall";
		if (portHealth({admin_state: "down"}).level !== "idle" || portHealth({bound: false}).level !== "idle" || portHealth({}).level !== "busy") return "ports";
		for (const [seen, want] of [["seen", "ok seen"], ["not_seen", "warn not seen"], ["elsewhere", "warn seen elsewhere"], ["unknown", "idle not looked for"], [undefined, "busy not known yet"]]) {
			const h = portHealth({}, seen);
			if (h.level + " " + h.word !== want || portHealth({bound: false}, seen).word !== "not bound") return seen;
		}
		if (worst(["ok", "warn", "busy"]) !== "warn" || worst([]) !== "ok") return "worst";
	}`,
	"a neighbourhood has a router with all its networks, and twelve other routers at most": `({near: {near, centreOf, holds, NEIGHBOURS}, model: {keyOf}, layout: {layout}}, {town}) => {
		for (let seed = 1; seed < 40; seed++) {
			const world = town(seed);
			for (const r of world.routers.values()) {
				const key = keyOf("router", r.id);
				const part = near(world, key);
				const mine = new Set(r.interfaces.map((f) => f.network));
				if (part.networks.size !== mine.size || part.routers.size > NEIGHBOURS + 1) return key + ": size";
				const others = [...world.routers.values()].filter((o) => o !== r && o.interfaces.some((f) => mine.has(f.network)));
				if (part.routers.size - 1 !== Math.min(NEIGHBOURS, others.length)) return key + ": routers";
				for (const n of part.networks.values()) {
					const on = others.filter((o) => o.interfaces.some((f) => f.network === n.id)).length;
					if (on !== n.more + [...part.routers.values()].filter((o) => o.id !== r.id && o.interfaces.some((f) => f.network === n.id)).length) return key + ": not shown on " + n.id;
				}
				const {nodes, edges} = layout(part, key);
				if (nodes.length !== part.networks.size + part.routers.size || edges.some((e) => !mine.has(e.network.id))) return key + ": layout";
				for (const a of nodes) for (const b of nodes) if (a !== b && Math.abs(a.x - b.x) * 2 < a.w + b.w - 1e-6 && Math.abs(a.y - b.y) * 2 < a.h + b.h - 1e-6) return key + ": " + a.key + " covers " + b.key;
				if (centreOf(world, key) !== key || !holds(part, key)) return key + ": centre";
			}
			for (const p of [...world.ports.values()].slice(0, 50)) {
				const key = keyOf("port", p.id);
				const centre = centreOf(world, key);
				if (!holds(near(world, centre), key)) return key + " is not in " + centre;
			}
			if (centreOf(world, "router:none") !== undefined || centreOf(world, null) !== undefined || near(world, "router:none").networks.size) return "what does not exist";
		}
	}`,
	"names do not cover each other, and are in the window": `({names: {spread}}, {random}) => {
		for (let seed = 1; seed < 100; seed++) {
			const pick = random(seed);
			const [width, height] = [300 + pick(900), 400 + pick(500)];
			const boxes = spread(Array.from({length: 1 + pick(23)}, () => ({x: pick(width), y: pick(height), w: 20 + pick(250), h: 18})), width, height);
			for (const a of boxes) {
				if (a.x - a.w / 2 < 0 || a.x + a.w / 2 > width || a.y - a.h / 2 < 0 || a.y + a.h / 2 > height) return "seed " + seed + ": outside";
				for (const b of boxes) if (a !== b && Math.abs(a.x - b.x) * 2 < a.w + b.w - 1e-6 && Math.abs(a.y - b.y) * 2 < a.h + b.h - 1e-6) return "seed " + seed + ": one covers another";
			}
		}
	}`,
	"a curve ends at the right edge, has the largest rate at the top, and has gaps where rates are unknown": `({spark: {curve, words}}) => {
		const c = curve([-1, 0, 50, -1, 100, 100], 118, 20, 100);
		if (c.line !== "M110 19L112 10M116 1L118 1") return c.line;
		if (c.area !== "M110 20L110 19L112 10L112 20ZM116 20L116 1L118 1L118 20Z") return c.area;
		if (curve([], 118, 20, 0).line !== "" || curve([0], 118, 20, 0).line !== "M116 19L118 19") return "few: " + curve([0], 118, 20, 0).line;
		if (words([-1]) !== "no history yet" || words([0, 2000, 1000]) !== "the last 45 seconds: at most 2.0 kb/s, now 1.0 kb/s" || words(Array(60).fill(-1).with(3, 5)) !== "the last 15 minutes: at most 5.0 b/s, now unknown") return words([0, 2000, 1000]);
	}`,
	"times are written as ISO 8601 writes them": `({time: {stamp, zone, zoned}}) => {
		const t = new Date(2026, 0, 2, 3, 4, 5);
		if (stamp(t) !== "2026-01-02 03:04:05" || stamp(t.toISOString()) !== stamp(t) || !/^UTC([+-]\d\d:\d\d)?$/.test(zone(t)) || zoned(t) !== stamp(t) + " " + zone(t)) return zoned(t);
	}`,
	"a wider line means more traffic": `({rates: {lineWidth}}) => {
		const widths = [0, 1, 1e3, 1e6, 1e9, 1e11, 1e12].map(lineWidth);
		if (widths.some((w, i) => i && (w < widths[i - 1] || w > 9)) || !(widths[2] < widths[3] && widths[3] < widths[4])) return widths.join();
	}`,
	"an object is shown by its name or, without a name, by its ID": `({model: {nameOf, Finder, World}}) => {
		if (nameOf({id: "r1"}) !== "r1" || nameOf({id: "r1", name: ""}) !== "r1" || nameOf({id: "r1", name: "edge"}) !== "edge") return "names";
		const f = new Finder(new World({routers: [{id: "r1", name: "Edge"}]}));
		if (f.find("edge").length !== 1 || f.find("r1").length !== 1) return "an object with a name is not found by its name";
	}`,
	"IDs with numbers sort by number": `({model: {byID}}) => {
		const want = ["", "1", "2", "010", "10", "a", "a1", "a1b", "a2", "a10", "a10b2", "a10b10", "A11", "b", "port-9", "port-10", "port-00000000000000000000000000011", "é", "中"];
		const got = want.toReversed().sort(byID);
		if (got.join() !== want.join()) return got.join();
		for (const a of want) for (const b of want) if (Math.sign(byID(a, b)) !== -Math.sign(byID(b, a)) || (byID(a, b) === 0) !== (a === b)) return a + " and " + b;
	}`,
	"the subnet of an address has its host bits cleared": `({model: {subnet}}) => {
		for (const [of, want] of [["10.0.1.1/24", "10.0.1.0/24"], ["255.255.255.255/1", "128.0.0.0/1"], ["10.1.2.3/32", "10.1.2.3/32"], ["1.2.3.4/0", "0.0.0.0/0"], ["10.0.0.130/25", "10.0.0.128/25"],
			["fd00::1/64", "fd00::/64"], ["2001:db8:1:2:3:4:5:6/64", "2001:db8:1:2::/64"], ["2001:db8::1:0:0:1/112", "2001:db8:0:0:1::/112"], ["fe80::1/10", "fe80::/10"], ["febf::1/10", "fe80::/10"], ["::1/128", "::1/128"],
			["2001:db8:0:1:1:1:1:1/128", "2001:db8:0:1:1:1:1:1/128"], ["::/0", "::/0"], ["ffff::1/3", "e000::/3"], ["::ffff:1.2.3.4/128", "::ffff:1.2.3.4/128"]]) {
			if (subnet(of) !== want) return of + ": " + subnet(of);
		}
	}`,
}

// draw makes topologies of every shape from a seed: single objects, stars, chains, rings,
// routers twice on a network, and networks with very many machines.
const draw = `{
	random(seed) {
		let s = seed * 2654435761 % 4294967296;
		return (n) => {
			s = (s * 1664525 + 1013904223) % 4294967296;
			return Math.floor((s / 4294967296) * n);
		};
	},
	town(seed) {
		const pick = this.random(seed);
		const [n, m] = [1 + pick(seed % 3 ? 14 : 90), pick(12)];
		const t = {networks: [], routers: [], ports: []};
		for (let i = 0; i < n; i++) {
			t.networks.push({id: "n" + i});
			const ports = pick(9) === 0 ? 200 : pick(12);
			for (let k = 0; k < ports; k++) t.ports.push({id: "p" + i + "-" + k, network: "n" + i, mac: "02:00:00:00:00:01", addresses: ["10.0." + i + "." + k]});
		}
		for (let i = 0; i < m; i++) {
			const legs = seed % 5 === 0 && i === 0 ? n : pick(5);
			t.routers.push({id: "r" + i, interfaces: Array.from({length: legs}, (_, k) => ({id: "r" + i + "-" + k, network: "n" + (legs === n ? k : pick(n)), mac: "02:00:00:00:00:02", addresses: ["10.0." + k + ".1/24"]}))});
		}
		return new this.World(t);
	},
	topologyOf: (w) => ({networks: [...w.networks.values()], routers: [...w.routers.values()], ports: [...w.ports.values()]}),
}`

// The laws hold in a real browser.
func TestPageLaws(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(3, 9))
	v := visit(t, h, "")
	for name, law := range laws {
		wrong := browser.Eval[string](v.Browser, `(async () => {
			const names = ["camera", "cursor", "hash", "layout", "model", "names", "near", "rates", "rows", "spark", "time"];
			const modules = Object.fromEntries(await Promise.all(names.map(async (n) => [n, await import("/page/" + n + ".js")])));
			const draw = `+draw+`;
			draw.World = modules.model.World;
			for (const name of ["random", "town"]) draw[name] = draw[name].bind(draw);
			return (await (`+law+`)(modules, draw)) ?? "";
		})()`)
		if wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}
