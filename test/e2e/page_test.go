package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/test/browser"
	"github.com/ofdvr/ofdvr/test/lab"
)

// pageAddr is the address of the page on its host.
const pageAddr = "127.0.0.1:9476"

// A visitor uses the page of a site.
type visitor struct {
	*browser.Browser
	t *testing.T
}

// visit opens the page with a fragment and waits until it shows something. When the test ends, it
// checks that the page has sent requests only to the daemon. The console must have no entries, and
// thus no violations of the page's policy.
func visit(t *testing.T, h *lab.Host, at string) visitor {
	t.Helper()
	v := visitor{browser.Start(t, h, pageAddr, 1280, 800), t}
	t.Cleanup(func() {
		if errs := v.Errors(); len(errs) > 0 {
			t.Errorf("the console has %q", errs)
		}
		for _, url := range v.Requests() {
			if !strings.HasPrefix(url, v.URL()) {
				t.Errorf("the page requests %s", url)
			}
		}
	})
	v.Open(v.URL() + at)
	v.Until(`!/Loading|No answer/.test(document.getElementById("health").textContent) && document.getElementById("counts").textContent`)
	v.Until(`(window.stayed = true)`) // a variable that exists until the page is loaded again
	return v
}

// text waits until the text of an element contains part.
func (v visitor) text(selector, part string) {
	v.t.Helper()
	v.Until(fmt.Sprintf(`document.querySelector(%q)?.textContent.includes(%q)`, selector, part))
}

// focused waits until an element has the focus.
func (v visitor) focused(selector string) {
	v.t.Helper()
	v.Until(fmt.Sprintf(`document.activeElement.matches(%q)`, selector))
}

// click clicks at the middle of an element that is visible.
func (v visitor) click(selector string) {
	v.t.Helper()
	v.Until(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
	at := browser.Eval[[]float64](v.Browser, fmt.Sprintf(`(() => {
		const el = document.querySelector(%q);
		el.scrollIntoView({block: "nearest"});
		const r = el.getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`, selector))
	v.Click(at[0], at[1])
}

// spot is the position of an object in the window and the colour of the canvas there, according to the
// page's own layout and the canvas.
type spot struct {
	X, Y   float64
	Colour string
}

func (v visitor) spot(key string) spot {
	v.t.Helper()
	return browser.Eval[spot](v.Browser, fmt.Sprintf(`(async () => {
		const key = %q;
		const {layout, cellOf, indexOf} = await import("/page/layout.js");
		const {World, keyOf, parseKey} = await import("/page/model.js");
		const {Camera} = await import("/page/camera.js");
		const {near} = await import("/page/near.js");
		const canvas = document.getElementById("canvas");
		const whole = new World(await (await fetch("/v1/topology")).json());
		const root = canvas.dataset.root || undefined;
		const world = root ? near(whole, root) : whole;
		const {byKey} = layout(world, root);
		let at = byKey.get(key);
		if (!at) {
			const card = byKey.get(keyOf("network", world.get(key).network));
			const cell = cellOf(card, indexOf(card, parseKey(key).id));
			at = {x: cell.x + cell.w / 2, y: cell.y + cell.h / 2};
		}
		const frame = () => new Promise(requestAnimationFrame);
		await frame();
		await frame(); // changes are drawn
		const box = canvas.getBoundingClientRect();
		const camera = Object.assign(new Camera(...canvas.dataset.at.split(",").map(Number)), {w: box.width, h: box.height});
		const {x, y} = camera.toScreen(at.x, at.y);
		const [r, g, b] = `+pixels+`(x + 1, y - 6, 1, 1).data;
		return {X: x + box.x, Y: y + box.y, Colour: [r, g, b].join(",")};
	})()`, key))
}

// pixels is a function that reads a part of the canvas.
const pixels = `((x, y, w, h) => {
	const canvas = document.getElementById("canvas");
	const copy = document.createElement("canvas");
	[copy.width, copy.height] = [canvas.width, canvas.height];
	const context = copy.getContext("2d", {willReadFrequently: true});
	context.drawImage(canvas, 0, 0);
	return context.getImageData(x, y, w, h);
})`

// ground is the colour of the canvas where no object is.
func (v visitor) ground() string {
	v.t.Helper()
	return browser.Eval[string](v.Browser, `[...`+pixels+`(6, 6, 1, 1).data].slice(0, 3).join(",")`)
}

// put writes an object through the API and waits until it is applied.
func (s *site) put(path, body string) {
	s.t.Helper()
	s.change(http.MethodPut, path+"?wait=applied", body)
}

func (s *site) change(method, path, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://ofdvr/v1/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.HTTPUnix("/run/ofdvr/api.sock").Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d, %v: %s", method, path, resp.StatusCode, err, text)
	}
}

// The picture has every object at its position. A click on an object opens it, with its status, its
// conditions and its flows.
func TestPageShowsAllObjects(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	v.text("#health", "Settled")
	v.text("#counts", "2 networks · 1 router · 2 machines")
	ground := v.ground()
	for key, title := range map[string]string{"router:r1": "r1", "network:blue": "blue", "network:green": "green", "port:vm1": "vm1", "port:vm2": "vm2"} {
		at := v.spot(key)
		if at.Colour == ground {
			t.Errorf("%s: nothing is drawn at %v", key, at)
		}
		v.Click(at.X, at.Y)
		v.text("#panel h2", title)
		v.text("#panel .conditions", "programmed")
		v.Until(`document.querySelectorAll("#panel .flow").length > 0`)
		v.Press("Escape")
		v.Until(`document.getElementById("panel").hidden`)
	}
	at := v.spot("router:r1")
	v.Click(at.X, at.Y)
	v.text("#panel .facts", fmt.Sprintf("%d of %[1]d confirmed", s.status().Routers[0].FlowsWanted))
	v.text("#panel .flows .says", fmt.Sprintf("%d flows", s.status().Routers[0].FlowsWanted))
	v.text("#panel .flow .does", "sends all other packets from interface")
	v.click("#panel .flow")
	v.text("#panel .whole", "actions=")
	v.click("#panel .flows input")
	v.Type("port vm2")
	v.text("#panel .flows .says", "1 flow of ")
	shot(t, v.Browser, "detail")
}

// Objects written through the API, and their status, appear, change and disappear without a reload of the
// page.
func TestPageFollows(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "#open=network:blue")
	v.text("#panel", "1 machine")
	s.put("ports/vm9", `{"network": "blue", "mac": "02:00:00:00:01:19", "addresses": ["10.0.1.19"]}`)
	v.text("#counts", "3 machines")
	v.text("#panel", "2 machines")
	s.put("ports/vm9", `{"network": "green", "mac": "02:00:00:00:01:19", "addresses": ["10.0.2.19"]}`)
	v.text("#panel h3 + .listbox", "vm1")
	v.Until(`!document.getElementById("panel").textContent.includes("vm9")`)
	s.put("networks/red", `{"vlan": 3}`)
	s.put("routers/r2", `{"interfaces": [{"id": "r2-red", "network": "red", "mac": "02:00:00:00:03:01", "addresses": ["10.0.3.1/24"]}]}`)
	v.text("#counts", "3 networks · 2 routers · 3 machines")
	if v.spot("router:r2").Colour == v.ground() {
		t.Error("the new router is not in the picture")
	}
	s.change(http.MethodDelete, "routers/r2", "")
	s.change(http.MethodDelete, "ports/vm9", "")
	v.text("#counts", "3 networks · 1 router · 2 machines")
	// The position and the typed text stay when another object changes.
	v.click("#panel input")
	v.Type("vm1")
	v.text("#panel .flows .says", "flow of ")
	s.put("networks/grey", `{"vlan": 9}`)
	v.text("#counts", "4 networks")
	v.focused("#panel input")
	v.Until(`document.activeElement.value === "vm1"`)
	v.Until(`window.stayed`)
}

// While a machine pings another, the picture, the list and the panel show rates, and none
// afterwards.
func TestPageRates(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	v := visit(t, s.Host, "#view=list&open=router:r1")
	p, err := vm1.Start("ping", "-q", "-i", "0.01", "10.0.2.10")
	if err != nil {
		t.Fatal(err)
	}
	const green = `[...document.querySelectorAll("#grid .row.item")].find((r) => r.children[0].textContent === "green")`
	v.Until(green + `.children[5].textContent.match(/[1-9].* k?b\/s/)`)
	v.Until(`[...document.querySelectorAll("#panel tbody td")].every((td) => /[1-9].* · [1-9]/.test(td.textContent))`)
	v.Until(strings.Replace(green, "green", "vm2", 1) + `.children[5].textContent.match(/[1-9].* k?b\/s/)`) // routed to a machine
	// 100 requests a second of 98 bytes.
	rate := browser.Eval[float64](v.Browser, `parseFloat(document.querySelector("#panel tbody td").textContent.split(" · ")[1])`)
	if rate > 200 {
		t.Errorf("the page shows %v packets a second, want 100", rate)
	}
	v.click("#view-picture")
	frames := browser.Eval[int](v.Browser, `Number(document.getElementById("canvas").dataset.frames ?? 0)`)
	v.Until(fmt.Sprintf(`Number(document.getElementById("canvas").dataset.frames) > %d`, frames+20)) // the picture moves
	shot(t, v.Browser, "rates")
	v.Prefer("prefers-reduced-motion", "reduce")
	if n := browser.Eval[int](v.Browser, `new Promise((done) => {
		const frames = () => Number(document.getElementById("canvas").dataset.frames);
		const before = frames();
		let n = 0;
		const step = () => (++n < 60 ? requestAnimationFrame(step) : done(frames() - before));
		requestAnimationFrame(step);
	})`); n > 10 {
		t.Errorf("%d of 60 frames were drawn although the system asks for reduced motion", n)
	}
	p.Kill()
	v.click("#view-list")
	v.Until(green + `.children[5].textContent === "0 b/s"`)
}

// A search finds objects by ID, MAC and IP address, and leads to them.
func TestPageSearch(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	for what, found := range map[string]string{"vm2": "vm2", "02:00:00:00:01:10": "vm1", "10.0.2.10": "vm2", "10.0.2.1": "r1", "R1-BLUE": "r1", "green": "green"} {
		v.Press("/")
		v.focused("#search")
		v.Type(what)
		v.text("#hits [aria-selected=true]", found)
		v.Press("Enter")
		v.text("#panel h2", found)
		v.Press("Escape")
	}
	v.Press("/")
	v.Type("no such thing")
	v.text("#hits", "Nothing has that")
	v.Press("Escape", "Escape")
	v.focused("#canvas")
}

// A trace shows the path of a packet and of its reply as text with flows, and in the picture. The
// link to a trace can be shared.
func TestPageTrace(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	v.click("#open-trace")
	v.focused("[name=from]")
	v.Type("vm1")
	v.Press("Tab")
	v.Type("10.0.2.10")
	v.Press("Enter")
	v.text(".way.there", "vm1 → vm2")
	v.text(".way.there", "routed")
	v.text(".way.there", "TTL 63")
	v.text(".way.back", "Reply: vm2 → vm1")
	v.text(".way.there .steps", "sends packets to an address of port vm2")
	v.click(".way.there summary")
	v.text(".way.there details[open] pre", "actions=")
	v.Until(drawn)
	shot(t, v.Browser, "trace")
	at := browser.Eval[string](v.Browser, `location.hash`)
	v.click("#panel .head button")
	v.Until("!(" + drawn + ")")
	v.Open("about:blank")
	v.Open(v.URL() + at)
	v.text(".way.there", "vm1 → vm2")
	v.Until(drawn)
	for to, verdict := range map[string]string{"10.0.2.1": "answered", "10.0.2.99": "kernel", "vm1": "are the same", "nobody": "neither the ID or name of a port"} {
		v.Open("about:blank")
		v.Open(v.URL() + "#trace=from%3Dvm1%26to%3D" + to)
		v.text(".ways", verdict)
	}
	v.Errors() // forget the errors that the browser reports for failed requests
}

// drawn is true if the path of a trace is in the picture, which has a colour of its own.
const drawn = `(() => {
	const canvas = document.getElementById("canvas");
	const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	probe.fillStyle = getComputedStyle(canvas).getPropertyValue("--back-way").trim();
	probe.fillRect(0, 0, 1, 1);
	const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
	const {data} = ` + pixels + `(0, 0, canvas.width, canvas.height);
	let n = 0;
	for (let i = 0; i < data.length; i += 4) n += data[i] === r && data[i + 1] === g && data[i + 2] === b;
	return n > 200;
})()`

// While the daemon does not answer, the page reports this and keeps the last data. It continues
// when the daemon answers again.
func TestPageWithoutTheDaemon(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "#open=router:r1")
	s.stop()
	v.text("#health", "No answer")
	v.Until(`!document.getElementById("banner").hidden`)
	v.text("#banner", "The daemon does not answer. The page shows what it read at 20")
	v.text("#panel h2", "r1")
	shot(t, v.Browser, "gone")
	s.serve(s.flags...)
	s.settle()
	v.text("#health", "Settled")
	v.Until(`document.getElementById("banner").hidden`)
	s.put("ports/vm9", `{"network": "blue", "mac": "02:00:00:00:01:19", "addresses": ["10.0.1.19"]}`)
	v.text("#counts", "3 machines")
	v.Until(`window.stayed`)
	for _, e := range v.Errors() {
		if !strings.Contains(e, "Failed to load resource") { // while no daemon ran
			t.Error(e)
		}
	}
}

// Until its switch reconnects, a router is shown as disconnected in the bar, in the picture and in
// its panel, always with text.
func TestPageShowsDisconnectedRouter(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "#open=router:r1")
	v.text("#panel .pill", "settled")
	before := v.spot("router:r1")
	s.Switch().Kill()
	v.text("#health", "1 of 1 router disconnected")
	v.text("#panel .pill", "disconnected")
	v.text("#panel .problems", "bridge rb-r1")
	v.text("#panel .conditions", "not programmed")
	v.click("#health")
	v.text("#panel .ill", "r1")
	v.click("#view-list")
	v.Until(`[...document.querySelectorAll("#grid .row.item")].filter((r) => /disconnected|see its routers/.test(r.textContent)).length === 3`)
	v.click("#view-picture")
	shot(t, v.Browser, "trouble")
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	v.text("#health", "Settled")
	browser.Eval[any](v.Browser, `(location.hash = "open=router:r1", 1)`)
	v.Until(`document.querySelector("#panel .pill")?.textContent === "settled" && !document.querySelector("#panel .problems")`)
	if after := v.spot("router:r1"); after.Colour != before.Colour {
		t.Errorf("the router's colour was %s and is %s", before.Colour, after.Colour)
	}
	v.Errors() // forget the errors that the browser reports for failed reads of flows
}

// Without objects, the page shows how to add some, and then shows each new object.
func TestPageEmpty(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Boot(t), t: t}
	s.serve()
	v := visitor{browser.Start(t, s.Host, pageAddr, 1280, 800), t}
	v.Open(v.URL())
	v.text("#none h2", "No networks or routers yet")
	v.text("#none pre", "ofdvr apply")
	shot(t, v.Browser, "empty")
	s.put("networks/blue", `{"vlan": 1}`)
	v.text("#counts", "1 network")
	v.Until(`document.getElementById("none").hidden && document.getElementById("picture").checkVisibility()`)
}

// With --page=false, the address serves neither the page nor the API. The same holds without the
// flag if the address is reachable from other hosts.
func TestPageOff(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--page=false")
	for page, want := range map[string]int{"/": 404, "/v1/status": 404, "/page/main.js": 404, "/metrics": 200, "/healthz": 200} {
		if code, _ := s.get(page); code != want {
			t.Errorf("--page=false: %s: %d, want %d", page, code, want)
		}
	}
	for flags, want := range map[string]int{"--metrics 0.0.0.0:9476": 404, "--metrics 0.0.0.0:9476 --page": 200} {
		s.stop()
		s.serve(strings.Fields(flags)...)
		s.settle()
		for _, page := range []string{"/", "/v1/status"} {
			if code, _ := s.get(page); code != want {
				t.Errorf("%s: %s: %d, want %d", flags, page, code, want)
			}
		}
	}
}

// The address of the page serves the counters of routed packets, and refuses writes.
func TestPageReads(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 5})
	s.eventually("the packets to be counted", func() error {
		_, body := s.get("/v1/counters")
		var c struct {
			Interfaces []struct {
				Interface string
				Routed    uint64 `json:"routed_packets"`
				Received  uint64 `json:"received_packets"`
			}
		}
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			return err
		}
		for _, i := range c.Interfaces {
			if i.Routed != 5 || i.Received != 5 {
				return fmt.Errorf("%+v", c)
			}
		}
		return nil
	})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, "http://"+pageAddr+"/v1/ports/vm1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("DELETE of a port on the page's address returned %d", resp.StatusCode)
	}
}

// shot writes a screenshot into the directory that PAGE_SHOTS names, for people to
// look at.
func shot(t *testing.T, b *browser.Browser, name string) {
	t.Helper()
	dir := os.Getenv("PAGE_SHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Screenshot(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The API's address serves the page too. Cross-site requests cannot write there.
func TestPageOnAPIAddress(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	for site, want := range map[string]int{"cross-site": http.StatusForbidden, "": http.StatusOK} {
		for _, request := range []string{"GET /", "GET /page/main.js", "POST /v1/complete"} {
			method, path, _ := strings.Cut(request, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, "http://ofdvr"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Sec-Fetch-Site", site)
			resp, err := s.HTTPUnix("/run/ofdvr/api.sock").Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if method == "POST" && resp.StatusCode != want || method == "GET" && resp.StatusCode != http.StatusOK {
				t.Errorf("%s, asked by %q: %d", request, site, resp.StatusCode)
			}
			var p api.Problem
			if method == "POST" && want == http.StatusForbidden && (resp.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(text, &p) != nil || p.Status != want || !strings.Contains(p.Detail, "cross-site")) {
				t.Errorf("the answer is not a problem document: %v %s", resp.Header, text)
			}
		}
	}
}
