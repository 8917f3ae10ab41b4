package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// scrapeEvery is the interval of the scrapes.
const scrapeEvery = 200 * time.Millisecond

// A scrape has the samples of /metrics, by name with labels.
type scrape struct {
	values   map[string]float64
	counters map[string]bool // the samples that must not decrease
}

// flowMods returns the number of flow mods that the daemon has counted.
func (s scrape) flowMods() int {
	n := 0.0
	for name, v := range s.values {
		if strings.HasPrefix(name, "ofdvr_flow_mods_total{") {
			n += v
		}
	}
	return int(n)
}

// scrape reads the daemon's metrics.
func (s *site) scrape(ctx context.Context) (scrape, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9476/metrics", nil)
	if err != nil {
		return scrape{}, err
	}
	resp, err := s.HTTP().Do(req)
	if err != nil {
		return scrape{}, fmt.Errorf("scrape: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return scrape{}, errors.Join(fmt.Errorf("scrape: %s", resp.Status), err)
	}
	return parseScrape(string(body))
}

// parseScrape reads the text format of Prometheus. Counters and the parts of
// histograms must not decrease.
func parseScrape(text string) (scrape, error) {
	r := scrape{make(map[string]float64), make(map[string]bool)}
	kind := ""
	for line := range strings.Lines(text) {
		if typ, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, kind, _ = strings.Cut(strings.TrimSpace(typ), " ")
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if at < 0 || err != nil {
			return r, fmt.Errorf("scrape: cannot parse %q", line)
		}
		name := line[:at]
		r.values[name] = v
		r.counters[name] = kind == "counter" || kind == "histogram"
	}
	return r, nil
}

// A watch scrapes the daemon regularly and records counters that decrease. A restarted
// daemon counts from 0, as Prometheus expects.
type watch struct {
	s *site

	// across has prefixes of the names of counters that also must not decrease across restarts
	// of the daemon.
	across []string

	mu   sync.Mutex // held while scraping
	of   *lab.Process
	last scrape
	bad  []string
}

// run scrapes until ctx is done, and returns its cause.
func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			w.look(ctx) // an error means that the daemon does not run, or is busy
		}
	}
}

// look scrapes once and compares with the previous scrape.
func (w *watch) look(ctx context.Context) (scrape, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.s.running()
	now, err := w.s.scrape(ctx)
	switch {
	case err != nil:
		return now, err
	case p == nil || p != w.s.running():
		return now, errors.New("scrape: the daemon was restarted in the meantime")
	}
	if back := w.back(p, now); len(back) > 0 {
		slices.Sort(back)
		w.bad = append(w.bad, fmt.Sprintf("%d counters decreased: %s", len(back), strings.Join(back[:min(3, len(back))], ", ")))
	}
	w.of, w.last = p, now
	return now, nil
}

// back returns the counters of the daemon p that are lower than in the previous scrape.
func (w *watch) back(p *lab.Process, now scrape) (back []string) {
	for name, before := range w.last.values {
		v, ok := now.values[name]
		if !ok || !now.counters[name] || v >= before {
			continue
		}
		across := slices.ContainsFunc(w.across, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if w.of != p && !across {
			continue
		}
		back = append(back, fmt.Sprintf("%s from %v to %v", name, before, v))
	}
	return back
}

// wentBack returns the decreases since the last call.
func (w *watch) wentBack() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := w.bad
	w.bad = nil
	return bad
}
