package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	scrapedPorts = 100_000
	scrapeCount  = 20
	scrapePause  = time.Second // time between two scrapes, much less than Prometheus' interval
	extraPorts   = 1000        // ports that are made and changed repeatedly
	scrapeHalves = 6           // the daemon reads that many flows in 2^scrapeHalves parts
)

// scraping measures the cost of a scrape of a daemon with very many flows: its duration, and
// the delay of writes through the API. The writes run for the same time without scrapes and
// with them.
func scraping(ctx context.Context, _ int) (section, error) {
	d, err := startStored(ctx, scrapedPorts)
	if err != nil {
		return "", err
	}
	defer d.close()
	if _, err := d.putWhile(ctx, func(time.Time) bool { return false }); err != nil { // all ports exist then
		return "", err
	}
	calm, err := d.putWhile(ctx, func(start time.Time) bool { return time.Since(start) < scrapeCount*scrapePause })
	if err != nil {
		return "", err
	}
	part, whole, err := d.readings(ctx)
	if err != nil {
		return "", err
	}
	var took sample
	ended := make(chan error, 1)
	go func() { ended <- d.scrapes(ctx, &took) }()
	busy, err := d.putWhile(ctx, func(time.Time) bool { return len(ended) == 0 })
	if scrapeErr := <-ended; err == nil {
		err = scrapeErr
	}
	if err != nil {
		return "", err
	}
	routers, err := manyScraped(ctx)
	if err != nil {
		return "", err
	}
	row := func(what string, s sample, target string) []string {
		cells := []string{what}
		for _, q := range []float64{0.5, 0.99, 0.999, 1} {
			cells = append(cells, fmt.Sprintf("%.1f", s.quantile(q)))
		}
		return append(cells, target)
	}
	return table([][]string{
		{"ms", "median", "99 %", "99.9 %", "longest", "target"},
		row(fmt.Sprintf("%d managed routers: a scrape, %d of them, one a second", manyRouters, len(routers)), routers, "–"),
		row(fmt.Sprintf("%s flows: a scrape, %d of them, one a second", thousands(scrapedPorts), len(took)), took, "at most 50"),
		row(fmt.Sprintf("%s flows: reading all of them at once, %d times", thousands(scrapedPorts), len(whole)), whole, "–"),
		row(fmt.Sprintf("%s flows: reading one of %d parts, for which a put may have to wait", thousands(scrapedPorts), 1<<scrapeHalves), part, "–"),
		row(fmt.Sprintf("%s flows: a put until applied, %s of them, without scrapes", thousands(scrapedPorts), thousands(len(calm))), calm, "–"),
		row(fmt.Sprintf("%s flows: a put until applied, %s of them, during scrapes", thousands(scrapedPorts), thousands(len(busy))), busy, "as without scrapes"),
	}), nil
}

// putWhile puts ports one after the other, each at least once, until more returns false. The
// argument of more is the start time.
func (d *stored) putWhile(ctx context.Context, more func(start time.Time) bool) (took sample, err error) {
	begin := time.Now()
	for i := 0; i < extraPorts || more(begin); i++ {
		path, body := portBody(i%extraPorts, i/extraPorts%2)
		start := time.Now()
		if _, err := d.ask(ctx, http.MethodPut, path, body); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start).Seconds()*1000)
	}
	return took, nil
}

// readings returns the milliseconds that it takes to read a part of the flows, like the daemon,
// and all of them.
func (d *stored) readings(ctx context.Context) (part, whole sample, err error) {
	nc, err := d.h.Dial(ctx, "unix", "/run/openvswitch/rb-r1.mgmt")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	conn, ended := ofconn.New(nc, ofconn.Config{}), make(chan error, 1)
	go func() { ended <- conn.Run(ctx, func(ofproto.Message) {}) }()
	defer func() {
		cancel()
		<-ended
	}()
	read := func(filter ofproto.FlowFilter) (float64, error) {
		start := time.Now()
		_, err := conn.Flows(ctx, filter)
		return time.Since(start).Seconds() * 1000, err
	}
	for i := range 1 << scrapeHalves {
		filter := ofproto.AllFlows()
		filter.Cookie, filter.CookieMask = compile.CookieSlice(i, scrapeHalves)
		ms, err := read(filter)
		if err != nil {
			return nil, nil, err
		}
		part = append(part, ms)
	}
	for range scrapeCount {
		ms, err := read(ofproto.AllFlows())
		if err != nil {
			return nil, nil, err
		}
		whole = append(whole, ms)
	}
	return part, whole, nil
}

// manyScraped returns the durations of scrapes of a daemon with many routers.
func manyScraped(ctx context.Context) (took sample, err error) {
	d, err := startDaemon(ctx, routersTopology(manyRouters))
	if err != nil {
		return nil, err
	}
	defer d.close()
	return took, d.scrapes(ctx, &took)
}

// scrapes scrapes repeatedly, and appends the milliseconds to took.
func (d *daemon) scrapes(ctx context.Context, took *sample) error {
	client := d.h.HTTP()
	for range scrapeCount {
		start := time.Now()
		resp, err := client.Get("http://127.0.0.1:9476/metrics")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("scrape: %s", resp.Status)
		}
		if err != nil {
			return err
		}
		*took = append(*took, time.Since(start).Seconds()*1000)
		if err := pause(ctx, scrapePause); err != nil {
			return err
		}
	}
	return nil
}
