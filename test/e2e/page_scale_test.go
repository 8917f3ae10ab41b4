package e2e

import (
	"fmt"
	"testing"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/browser"
	"github.com/ofdvr/ofdvr/test/lab"
)

// With any number of objects, the page has few elements: in the overview, in the picture, in the
// list at any scroll position, and in the panel. Every object can still be found and reached.
// The test logs the duration of frames.
func TestPageWithManyObjects(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	l := serveTown(t, h, townOf(1000, 20_000))
	v := visit(t, h, "")
	v.text("#health", "20 of 1,000 routers disconnected")
	v.text("#counts", "2,100 networks · 1,000 routers · 20,000 machines")
	few := func(when string, most int) {
		t.Helper()
		if n := browser.Eval[int](v.Browser, `document.querySelectorAll("*").length`); n > most {
			t.Errorf("%s: the page has %d elements, want at most %d", when, n, most)
		}
	}
	few("the overview", 1000)
	shot(t, v.Browser, "many")
	v.click("#view-picture")
	v.text("#around", "Around router r18: 2 networks")
	few("the picture", 1000)
	shot(t, v.Browser, "many-picture")
	for range 2 {
		t.Log("panning over everything: " + v.pan())
		v.click("#zoom-in")
		v.click("#zoom-in")
		v.click("#zoom-in")
	}
	v.Press("/")
	v.Type("02:10:00:00:4e:1f") // the last of them
	v.text("#hits", "data1000-vm20")
	v.Press("Enter")
	v.text("#panel h2", "data1000-vm20")
	v.text("#around", "Around router r1000")
	v.text("#panel .flows .says", "1 flow")
	t.Log("panning near by: " + v.pan())
	shot(t, v.Browser, "many-near")
	browser.Eval[any](v.Browser, `(location.hash = "open=router:r1000", 1)`)
	v.text("#panel .flows .says", "5,000 flows")
	few("the flows", 1300)
	v.click("#view-list")
	v.text("#listed", "23,100 objects")
	for _, at := range []float64{0, 0.37, 1} {
		browser.Eval[any](v.Browser, fmt.Sprintf(`(() => { const g = document.getElementById("grid"); g.scrollTop = %v * g.scrollHeight; })()`, at))
		v.Until(`(() => {
			const g = document.getElementById("grid").getBoundingClientRect();
			const rows = [...document.querySelectorAll("#grid .row.item")].map((r) => r.getBoundingClientRect());
			return rows.some((r) => r.bottom >= g.bottom - 34) && rows.some((r) => r.top <= g.top + 70);
		})()`)
		few(fmt.Sprintf("the list at %v", at), 1300)
	}
	v.text("#grid .row.item:last-child", "web1000-vm19")
	where := browser.Eval[float64](v.Browser, `document.getElementById("grid").scrollTop`)
	if _, err := l.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "web1-vm1"}, false)); err != nil {
		t.Fatal(err)
	}
	v.text("#listed", "23,099 objects")
	if now := browser.Eval[float64](v.Browser, `document.getElementById("grid").scrollTop`); where-now > 34 {
		t.Errorf("a change of another object has scrolled the list from %v to %v", where, now)
	}
	t.Logf("drawing a change: %.0f ms", browser.Eval[float64](v.Browser, `performance.getEntriesByName("draw").at(-1).duration`))
	shot(t, v.Browser, "many-list")
	t.Logf("scrolling to distant rows of the list: %.1f ms a frame", browser.Eval[float64](v.Browser, `new Promise((done) => {
		const grid = document.getElementById("grid");
		const began = performance.now();
		let n = 0;
		const step = () => {
			grid.scrollTop = (n * 7919) % grid.scrollHeight;
			++n < 120 ? requestAnimationFrame(step) : done((performance.now() - began) / 120);
		};
		step();
	})`))
}

// pan moves the picture with the mouse, and returns the durations of frames.
func (v visitor) pan() string {
	v.t.Helper()
	return browser.Eval[string](v.Browser, `new Promise((done) => {
		const canvas = document.getElementById("canvas");
		const event = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {pointerId: 1, button: 0, clientX: x, clientY: y, bubbles: true}));
		canvas.setPointerCapture = () => {};
		const times = [];
		let last = performance.now();
		let n = 0;
		event("pointerdown", 500, 400);
		const step = () => {
			const now = performance.now();
			if (n) times.push(now - last);
			last = now;
			event("pointermove", 500 + 90 * Math.sin(n / 12), 400 + 60 * Math.cos(n / 9));
			if (++n < 120) return requestAnimationFrame(step);
			event("pointerup", 500, 400);
			times.sort((a, b) => a - b);
			done("50 % of the frames took at most " + times[60].toFixed(1) + " ms, and 95 % took at most " + times[113].toFixed(1) + " ms");
		};
		requestAnimationFrame(step);
	})`)
}
