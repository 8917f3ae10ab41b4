package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/browser"
	"github.com/ofdvr/ofdvr/test/lab"
)

// With more than ten routers, the page begins with tables of the broken and of the busiest
// routers, with their history. Each row leads to the picture of the router's neighbourhood.
func TestPageOverview(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(60, 600))
	v := visit(t, h, "")
	v.text("#health", "1 of 60 routers disconnected")
	v.Until(`document.title === "host1: 1 of 60 routers disconnected – ofdvr" && document.getElementById("host").textContent === "host1"`)
	v.Until(`document.getElementById("overview").checkVisibility() && !document.getElementById("picture").checkVisibility()`)
	broken := `[...document.querySelectorAll("[aria-label='Routers that are not well'] tbody tr")]`
	v.Until(broken + `.map((r) => [...r.cells].map((c) => c.textContent).join("|")).join() === ` +
		`"r18|disconnected|bridge rb-r18 is not connected,r35|degraded|flow of port p7: the table is full,r51|committing|"`)
	busy := `[...document.querySelectorAll("[aria-label='Busiest routers'] tbody tr")]`
	v.Until(busy + `.length === 10 && ` + busy + `[0].cells[0].textContent === "r35"`) // 34 % 7 * (34 % 5) is the most
	v.Until(busy + `.every((r) => /[1-9].*b\/s/.test(r.cells[1].textContent) && r.querySelector(".spark").dataset.points === "60")`)
	v.Until(`document.querySelector(".spark.large").dataset.points === "60" && /Routed by all routers, the last 15 minutes: at most [1-9].*b\/s/.test(document.querySelector(".spark.large").ariaLabel)`)
	shot(t, v.Browser, "overview")
	v.barriers("the overview")

	v.click("[aria-label='Routers that are not well'] tbody tr button")
	v.text("#panel h2", "r18")
	v.text("#around", "Around router r18: 2 networks, of 60 routers in all")
	at := v.spot("router:r18")
	if at.Colour == v.ground() {
		t.Errorf("router r18 is not drawn at %v", at)
	}
	v.Until(`location.hash.includes("near=router%3Ar18")`)
	shot(t, v.Browser, "neighbourhood")
	v.click("#view-overview")
	v.Until(broken + `.length === 3`)
}

// The page draws the neighbourhood of the router in its URL. A click on another router selects that
// router.
func TestPageNeighbourhood(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(60, 600))
	v := visit(t, h, "#view=picture&near=router:r11")
	v.text("#around", "Around router r11: 3 networks and 2 other routers, of 60 routers in all")
	v.names("r11", "r12", "r13")
	at := v.spot("router:r12")
	v.Click(at.X, at.Y)
	v.text("#panel h2", "r12")
	v.text("#around", "Around router r12")
	v.Until(`location.hash.includes("near=router%3Ar12")`)
	v.Press("Escape")
	v.text("#around", "Around router r12")
	browser.Eval[any](v.Browser, `(location.hash = "open=port:web7-vm1", 1)`)
	v.text("#around", "Around router r7")
	v.text("#panel h2", "web7-vm1")
	v.Press("/")
	v.Type("r40")
	v.Press("Enter")
	v.text("#around", "Around router r40")
}

// names waits until the picture has the names of exactly these routers: in letters of at least 12
// pixels, inside the window, and without overlaps.
func (v visitor) names(want ...string) {
	v.t.Helper()
	v.Until(fmt.Sprintf(`(() => {
		const names = document.getElementById("canvas").names ?? [];
		const {clientWidth: w, clientHeight: h} = document.getElementById("canvas");
		return names.map((n) => n.text).toSorted().join() === %q && names.every((n) => n.px >= 12 && n.x - n.w / 2 >= 0 && n.x + n.w / 2 <= w && n.y - n.h / 2 >= 0 && n.y + n.h / 2 <= h) &&
			names.every((a) => names.every((b) => a === b || Math.abs(a.x - b.x) * 2 >= a.w + b.w || Math.abs(a.y - b.y) * 2 >= a.h + b.h));
	})()`, strings.Join(want, ",")))
}

// The names of routers are readable at any zoom level and in any window.
func TestPageNamesAreLegible(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(10, 2000)) // cards with very many machines
	v := visit(t, h, "")
	all := []string{"r1", "r10", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"}
	v.names(all...)
	shot(t, v.Browser, "ten")
	v.Resize(360, 640)
	v.names(all...)
	shot(t, v.Browser, "ten-narrow")
	v.Resize(1280, 800)
	for range 4 {
		v.click("#zoom-out")
		v.names(all...)
	}
	for range 12 {
		v.click("#zoom-in")
		v.Until(`document.getElementById("canvas").names.every((n) => n.px >= 12)`)
	}
}

// The page describes the object under the pointer and at the keyboard's cursor: a router, a
// network, a machine, a link, a sign, a curve.
func TestPageTips(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	s.put("ports/vm6", `{"network": "blue", "name": "mail", "mac": "02:00:00:00:01:16", "addresses": ["10.0.1.16", "fd00:1::16"]}`)
	v := visit(t, s.Host, "")
	v.text("#health", "Settled")
	v.text("#counts", "3 machines")
	for key, want := range map[string][]string{
		"router:r1":    {"Router r1", "settled", "2 interfaces", "blue: 10.0.1.1/24", "no traffic"},
		"network:blue": {"Network blue", "2 machines", "VLAN 1", "10.0.1.0/24", "1 router"},
		"port:vm6":     {"Machine mail", "ID vm6", "10.0.1.16", "fd00:1::16", "02:00:00:00:01:16"},
	} {
		at := v.spot(key)
		if strings.HasPrefix(key, "network") { // above its machines
			at = v.head(key)
		}
		v.Move(at.X, at.Y)
		for _, part := range want {
			v.text("#tip:not([hidden])", part)
		}
	}
	shot(t, v.Browser, "tip")
	v.Press("/") // an object with a name is shown and found by its name
	v.Type("mail")
	v.text("#hits [aria-selected=true]", "mail")
	v.Press("Enter")
	v.text("#panel h2", "mail")
	v.text("#panel .head", "ID vm6")
	v.Press("Escape")
	v.Until(`document.getElementById("panel").hidden`)
	v.click("#zoom-all")
	a, b := v.spot("router:r1"), v.head("network:green")
	for _, k := range []float64{0.4, 0.5, 0.6} { // a point of the link that neither card covers
		v.Move(a.X+k*(b.X-a.X), a.Y)
	}
	v.text("#tip:not([hidden])", "Interface of router r1 on network green")
	v.text("#tip:not([hidden])", "10.0.2.1/24")
	v.Move(5, 400)
	v.Until(`document.getElementById("tip").hidden`)
	at := browser.Eval[[]float64](v.Browser, `(() => { const r = document.querySelector("#legend li").getBoundingClientRect(); return [r.x + 5, r.y + 5]; })()`)
	v.Move(at[0], at[1])
	v.text("#tip:not([hidden])", "The switch has confirmed everything that is wanted")

	v.Move(5, 400)
	browser.Eval[any](v.Browser, `(document.getElementById("theme").focus(), 1)`)
	v.Press("Tab", "ArrowRight")
	v.focused("#canvas")
	v.text("#tip:not([hidden])", "Router r1")
	v.Press("ArrowLeft")
	v.text("#tip:not([hidden])", "Network blue")
	v.Press("Tab")
	v.Until(`document.getElementById("tip").hidden`)
	v.click("#view-overview")
	browser.Eval[any](v.Browser, `(document.querySelector(".doctor button").focus({focusVisible: true}), 1)`)
	v.text("#tip:not([hidden])", "At most one examination a minute")
	v.Press("Escape")
	v.Until(`document.getElementById("tip").hidden`)
}

// head returns the position of a network's name in the window.
func (v visitor) head(key string) spot {
	v.t.Helper()
	at := v.spot(key)
	up := browser.Eval[float64](v.Browser, fmt.Sprintf(`(async () => {
		const {layout} = await import("/page/layout.js");
		const {World} = await import("/page/model.js");
		const {byKey} = layout(new World(await (await fetch("/v1/topology")).json()));
		return (byKey.get(%q).h / 2 - 10) * Number(document.getElementById("canvas").dataset.at.split(",")[2]);
	})()`, key))
	at.Y -= up
	return at
}

// The page has a legend, which explains the signs and shows the amount of traffic for each line width.
// Its lines are as wide as in the picture.
func TestPageLegend(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	for _, part := range []string{"settled", "working", "degraded", "disconnected", "standby, down", "no traffic", "1 kb/s", "1 Mb/s", "1 Gb/s"} {
		v.text("#legend", part)
	}
	v.Until(`(async () => {
		const {lineWidth} = await import("/page/rates.js");
		return [...document.querySelectorAll("#legend .sample path")].map((p) => p.getAttribute("stroke-width")).join() === [1.5, lineWidth(1e3), lineWidth(1e6), lineWidth(1e9)].join();
	})()`)
	v.click("#legend summary")
	v.Until(`!document.querySelector("#legend ul").checkVisibility()`)
}

// The overview has the findings of an examination with their remedies. For any number of
// requests there is one examination a minute.
func TestPageDoctor(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(12, 12))
	v := visit(t, h, "")
	v.text(".doctor .says", "Not examined yet.")
	for range 3 {
		v.click("#overview .doctor button")
		v.text("#overview .findings", "1 problem")
		v.text("#overview .findings", "router r18: bridge rb-r18 is not connected")
		v.text("#overview .findings .remedy", "→ see whether ovs-vswitchd runs")
		v.text("#overview .findings", "limits: a client was refused")
		v.text("#overview .findings details", "1 check without findings")
		v.text("#overview .findings details", "examination 1")
		v.Until(`/Examined at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC/.test(document.querySelector(".doctor .says").textContent) && !document.querySelector(".doctor button").disabled`)
	}
	v.barriers("findings")
	v.click("#health")
	v.text("#panel .doctor .says", "Not examined yet.")
	v.click("#panel .doctor button")
	v.text("#panel .findings", "examination 1")
}

// With a real Open vSwitch, the page shows the doctor's findings, and the events.
func TestPageDoctorAndEvents(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	ping(t, vm1, vm2.IP(), lab.PingOptions{}) // makes br-int learn the machines, because doctor warns about unseen ones
	v := visit(t, s.Host, "#view=overview")
	v.text("#overview .events", "changed flows")
	v.Until(`/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$/.test(document.querySelector("#overview .events time").textContent)`)
	v.click("#overview .doctor button")
	v.text("#overview .findings", "No problems")
}

// The page shows the events of all routers, newest first. The panel of a router shows the
// router's own events. On request, only warnings and errors are shown.
func TestPageEvents(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(12, 12))
	v := visit(t, h, "")
	rows := `[...document.querySelectorAll("#overview .events li")]`
	v.Until(rows + `.length === 50 && ` + rows + `[0].textContent.includes("add=59") && ` + rows + `[49].textContent.includes("add=10")`)
	v.Until(rows + `[0].textContent.includes("(r12)")`)
	v.click("#overview .check input")
	v.Until(rows + `.length === 3 && ` + rows + `.every((r) => r.textContent.startsWith("warn: repaired flows that others had changed"))`)
	v.click("#overview .events button")
	v.text("#panel h2", "r10") // the router of event 57
	mine := `[...document.querySelectorAll("#panel .events li")]`
	v.Until(mine + `.length === 5 && ` + mine + `[0].textContent.includes("add=57")`)
}

// The panel of a router has the history of its interfaces, and both IPv4 and IPv6 addresses.
func TestPageHistoryOfInterfaces(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(12, 12))
	v := visit(t, h, "#open=router:r4")
	v.Until(`[...document.querySelectorAll("#panel .spark")].length === 2 && [...document.querySelectorAll("#panel .spark")].every((s) => s.dataset.points === "60" && /Routed out of interface r4-[12], the last 15 minutes/.test(s.ariaLabel))`)
	browser.Eval[any](v.Browser, `(location.hash = "open=router:r5", 1)`)
	v.Until(`[...document.querySelectorAll("#panel .spark")].every((s) => /r5-[12]/.test(s.ariaLabel))`)
}

// The daemon keeps the rates of the last minutes. A page shows them as soon as it is opened.
func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	p, err := vm1.Start("ping", "-q", "-i", "0.01", "10.0.2.10")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	s.eventually("two samples with traffic", func() error {
		_, body := s.get("/v1/history?router=r1")
		var d struct {
			At         time.Time
			Interfaces []struct {
				Interface string
				In, Out   []float64
			}
		}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			return err
		}
		if len(d.Interfaces) != 2 {
			return fmt.Errorf("%s", body)
		}
		for _, i := range d.Interfaces {
			if n := len(i.Out); n < 2 || i.Out[n-1] < 10_000 || i.In[n-1] < 10_000 {
				return fmt.Errorf("%s", body)
			}
		}
		return nil
	})
	v := visit(t, s.Host, "#view=overview")
	v.Until(`Number(document.querySelector("[aria-label='Busiest routers'] .spark")?.dataset.points) >= 2`)
	v.text("[aria-label='Busiest routers']", "r1")
}
