package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/browser"
	"github.com/ofdvr/ofdvr/test/lab"
)

// barriers fails the test if the page breaks a rule of accessibility in its current state.
func (v visitor) barriers(when string) {
	v.t.Helper()
	for _, b := range v.Barriers() {
		v.t.Errorf("%s: %s", when, b)
	}
}

// theme presses the button until the page has the wanted theme.
func (v visitor) theme(want string) {
	v.t.Helper()
	for range 3 {
		if browser.Eval[string](v.Browser, `document.documentElement.dataset.theme`) == want {
			return
		}
		v.click("#theme")
	}
	v.t.Fatalf("the page does not change to theme %s", want)
}

// Everything on the page, light or dark, meets the rules of WCAG 2.2 AA: contrast, names, roles,
// order of headings, landmarks.
func TestPageIsAccessible(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	v.text("#health", "Settled")
	for _, theme := range []string{"light", "dark"} {
		v.theme(theme)
		v.barriers(theme + ": the picture")
		v.click("#health")
		v.text("#panel h2", "Status")
		v.barriers(theme + ": the daemon")
		for _, key := range []string{"router:r1", "network:blue", "port:vm1"} {
			browser.Eval[any](v.Browser, fmt.Sprintf(`(location.hash = "open=%s", 1)`, key))
			_, id, _ := strings.Cut(key, ":")
			v.text("#panel h2", id)
			v.text("#panel .conditions", "programmed")
			v.Until(`document.querySelectorAll("#panel .flow").length > 0`)
			v.click("#panel .flow")
			v.barriers(theme + ": " + key)
		}
		v.click("#view-list")
		v.Until(`document.querySelectorAll("#grid .row.item").length === 5`)
		v.barriers(theme + ": the list")
		v.click("#view-picture")
		browser.Eval[any](v.Browser, `(location.hash = "trace=from%3Dvm1%26to%3Dvm2%26ttl%3D1", 1)`)
		v.text(".way.there", "kernel")
		v.click(".way.there summary")
		v.barriers(theme + ": a trace")
		v.Press("/")
		v.Type("10.0")
		v.text("#hits", "vm1")
		v.barriers(theme + ": a search")
		v.Press("Escape", "Escape", "Escape")
	}
	s.stop()
	v.Until(`!document.getElementById("banner").hidden`)
	for _, theme := range []string{"light", "dark"} {
		v.theme(theme)
		v.barriers(theme + ": no reply")
	}
	v.Errors() // forget the errors that the browser reports for failed requests
}

// The page follows the system's theme until the user chooses one.
func TestPageThemes(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "#open=router:r1")
	light := v.ground()
	v.Prefer("prefers-color-scheme", "dark")
	v.Until(fmt.Sprintf(`[...%s(6, 6, 1, 1).data].slice(0, 3).join() !== %q`, pixels, light))
	shot(t, v.Browser, "dark")
	dark := v.ground()
	v.theme("light")
	v.Until(fmt.Sprintf(`[...%s(6, 6, 1, 1).data].slice(0, 3).join() === %q`, pixels, light))
	v.Prefer("prefers-color-scheme", "light")
	v.theme("dark")
	v.Until(fmt.Sprintf(`[...%s(6, 6, 1, 1).data].slice(0, 3).join() === %q`, pixels, dark))
	v.Reload()
	v.Until(`document.documentElement.dataset.theme === "dark"`)
	v.text("#panel h2", "r1")
}

// With only the keyboard, a user reaches all elements, sees the focus, and returns to the previous
// place.
func TestPageByKeyboard(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	ping(t, vm1, vm2.IP(), lab.PingOptions{}) // makes br-int learn both machines, so that both are seen
	v := visit(t, s.Host, "")
	v.text("#health", "Settled")
	browser.Eval[any](v.Browser, `(document.activeElement.blur(), 1)`)
	var order []string
	for range 30 {
		v.Press("Tab")
		at := browser.Eval[string](v.Browser, `(() => {
			const el = document.activeElement;
			if (el === document.body) return "";
			const style = getComputedStyle(el);
			const r = el.getBoundingClientRect();
			const seen = el.checkVisibility({visibilityProperty: true}) && r.width > 1 && r.height > 1 && r.bottom > 0 && r.right > 0;
			return (seen ? "" : "HIDDEN ") + (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 ? "" : "UNMARKED ") + (el.id || el.className || el.tagName);
		})()`)
		if at == "" {
			break
		}
		order = append(order, at)
	}
	if got, want := strings.Join(order, " "), "skip health search view-overview view-picture view-list open-trace theme canvas SUMMARY zoom-in zoom-out zoom-all"; got != want {
		t.Errorf("Tab leads to\n%s, want\n%s", got, want)
	}

	v.Press("Tab", "Enter") // the first link skips the bar
	v.focused("#main")
	v.Press("Tab")
	v.focused("#canvas")
	for _, step := range []struct{ key, says string }{
		{"ArrowRight", "Router r1, settled, 2 interfaces"}, {"ArrowLeft", "Network blue, 1 machine"}, {"ArrowDown", "Machine vm1, seen, 10.0.1.10"},
		{"ArrowUp", "Network blue"}, {"ArrowRight", "Router r1"}, {"ArrowRight", "Network green"}, {"ArrowDown", "Machine vm2, seen, 10.0.2.10"},
	} {
		v.Press(step.key)
		v.text("#said", step.says)
	}
	v.Press("Enter")
	v.text("#panel h2", "vm2")
	v.focused("#panel")
	v.Press("Tab", "Tab", "Enter") // Close, Trace from here
	v.focused("[name=to]")
	v.Type("vm1")
	v.Press("Enter")
	v.text(".way.there", "vm2 → vm1")
	v.Press("Escape")
	v.Until(`document.getElementById("panel").hidden`)
	v.focused("#canvas")
	scale := `Number((new URLSearchParams(location.hash.slice(1)).get("at") ?? "").split(",")[2])`
	// One key zooms to the nearest object, from any position and before the address is updated.
	// Another goes one step back. A third shows all objects, at scale 1.1 at most.
	v.Press("+", "+", "+", "+", "+", "+")
	v.Until(scale + " === 2.5")
	v.Press("-")
	v.Until(scale + " === 1.7857")
	v.Press("0")
	v.Until(scale + " <= 1.1")

	v.PressShift("Tab")
	v.PressShift("Tab")
	v.PressShift("Tab")
	v.focused("#view-list")
	v.Press("Enter")
	v.Until(`document.getElementById("grid").checkVisibility()`)
	for range 30 {
		if browser.Eval[string](v.Browser, "document.activeElement.id") == "grid" {
			break
		}
		v.Press("Tab")
	}
	v.focused("#grid")
	active := `document.getElementById(document.getElementById("grid").getAttribute("aria-activedescendant"))`
	for _, step := range []struct{ key, says string }{{"Home", "r1"}, {"ArrowDown", "blue"}, {"End", "vm2"}, {"ArrowUp", "vm1"}, {"PageUp", "r1"}, {"PageDown", "vm2"}} {
		v.Press(step.key)
		v.Until(fmt.Sprintf(`%s.firstChild.textContent === %q`, active, step.says))
	}
	v.Press("Enter")
	v.text("#panel h2", "vm2")
	v.Until(active + `.getAttribute("aria-selected") === "true"`)
	v.Press("Escape")
	v.focused("#grid")
}

// For screen readers, the list has its number of rows and the number of the focused row.
func TestPageListIsAGrid(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "#view=list")
	v.Until(`document.querySelectorAll("#grid .row.item").length === 5`)
	if got := browser.Eval[string](v.Browser, `[document.getElementById("grid").ariaRowCount, document.getElementById("grid").ariaColCount, ...[...document.querySelectorAll("#grid [role=row]")].map((r) => r.ariaRowIndex)].join()`); got != "6,7,1,2,3,4,5,6" {
		t.Errorf("the attributes of rows and columns are %s", got)
	}
	first := `document.querySelector("#grid .row.item").firstChild.textContent`
	v.click("#grid .columnheader button, #grid [role=columnheader] button")
	v.Until(first + ` === "vm2"`)
	v.Until(`document.querySelector("#grid [role=columnheader]").ariaSort === "descending"`)
	v.click("#kinds [data-kind=network]")
	v.text("#listed", "2 objects of 5")
	v.click("#only")
	v.Type("gre")
	v.text("#listed", "1 object of 5")
	v.Until(first + ` === "green"`)
}

// In a window as narrow as a phone's, everything fits without horizontal scrolling.
func TestPageIsNarrow(t *testing.T) {
	t.Parallel()
	s, _, _ := pair(t)
	v := visit(t, s.Host, "")
	v.Resize(390, 800)
	for _, at := range []string{"", "open=router:r1", "view=list", "trace=from%3Dvm1%26to%3Dvm2"} {
		// The page may write its own address before it handles the new one.
		v.Until(fmt.Sprintf(`location.hash.includes(%[1]q) || (location.hash = %[1]q, false)`, at))
		v.Until(`document.documentElement.scrollWidth <= 390 && [...document.querySelectorAll("header button, header input, .panel button, .panel input")].every((el) => !el.checkVisibility() || el.getBoundingClientRect().right <= 390)`)
		shot(t, v.Browser, "narrow-"+strings.NewReplacer(":", "-", "=", "-", "%", "-").Replace(at))
	}
	v.barriers("narrow")
}
