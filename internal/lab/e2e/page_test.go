package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ofdvr/ofdvr/internal/lab/browser"
)

// pageURL is where the page is.
const pageURL = "http://127.0.0.1:9476/"

// The picture shows what there is, and rates while a machine pings.
func TestPage(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	b := browser.Start(t, s.Host, 1280, 800)
	_ = vm1
	b.Open(pageURL)
	b.Until(`document.getElementById("health").textContent === "Settled"`)
	b.Until(`document.getElementById("counts").textContent === "2 networks · 1 router · 2 machines"`)
	shot(t, b, "picture")
}

// shot writes a screenshot into the directory that PAGE_SHOTS names, for people to look at.
func shot(t *testing.T, b *browser.Browser, name string) {
	t.Helper()
	if dir := os.Getenv("PAGE_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
