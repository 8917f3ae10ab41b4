package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The pictures in docs/page.md are small, and show what the text describes. PAGE_SHOTS=docs, as in
// "make page-pictures", writes them.
func TestPagePictures(t *testing.T) {
	t.Parallel()
	h := lab.Bare(t)
	serveTown(t, h, townOf(1000, 20_000))
	v := visit(t, h, "")
	v.Resize(1280, 900)
	v.text("#health", "20 of 1,000 routers disconnected")
	v.Until(`document.querySelectorAll("[aria-label='Busiest routers'] tbody tr").length === 10`)
	v.Until(`[...document.querySelectorAll("[aria-label='Busiest routers'] tbody tr")].every((r) => /[1-9].*b\/s/.test(r.cells[1].textContent))`)
	v.picture("page-overview")

	v.Resize(1280, 720)
	v.theme("dark")
	v.click("#view-picture")
	v.Open(v.URL() + "#open=router:r12")
	v.text("#around", "Around router r12")
	v.Until(`[...document.querySelectorAll("#panel .spark")].every((s) => s.dataset.points === "60") && /[1-9].* · [1-9]/.test(document.querySelector("#panel tbody").textContent)`)
	v.Prefer("prefers-reduced-motion", "reduce")
	v.names("r11", "r12", "r13")
	v.picture("page-router")

	v.theme("light")
	v.Resize(360, 740)
	v.click("#panel .head button")
	v.click("#view-overview")
	v.Until(`document.querySelectorAll("[aria-label='Busiest routers'] tbody tr").length === 10`)
	v.picture("page-phone")
}

// picture takes a picture for docs/page.md.
func (v visitor) picture(name string) {
	v.t.Helper()
	v.Move(2, 2)
	shot(v.t, v.Browser, name)
	if n := len(v.Screenshot()); n > 150<<10 {
		v.t.Errorf("%s has %d kB", name, n>>10)
	}
	if _, err := os.Stat(filepath.Join("..", "..", "docs", name+".png")); err != nil {
		v.t.Error(err)
	}
}
