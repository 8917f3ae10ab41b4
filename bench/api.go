package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	putsEachRound = 100
	batchPorts    = 10_000
	apiClients    = 1_000
	putsEach      = 5 // writes of each client
	limitBridge   = "br-limit"
)

// overAPI measures writes through the API of a daemon on a real switch, with the store on
// a disk. It measures the time until the reply, which is sent when the switch has
// confirmed the write.
func overAPI(ctx context.Context, rounds int) (section, error) {
	one := [][]string{{"ports", "puts", "ofdvr, p50, ms", "ofdvr, p99, ms", "limit, p50, ms", "limit, p99, ms", "of the limit, p50"}}
	many := [][]string{{"ports before", "10,000 ports in one batch, ms", "pre-encoded flows, ms", "of that"}}
	var rest [][]string
	for _, n := range []int{100, 10_000, 100_000} {
		d, err := startStored(ctx, n)
		if err != nil {
			return "", fmt.Errorf("%d ports: %w", n, err)
		}
		err = func() error {
			if err := d.puts(ctx, rounds); err != nil {
				return err
			}
			if err := d.batches(ctx, rounds); err != nil {
				return err
			}
			if n != 100_000 {
				return nil
			}
			rest, err = d.rest(ctx)
			return err
		}()
		d.close()
		if err != nil {
			return "", fmt.Errorf("%d ports: %w\n%s", n, err, d.p.Log())
		}
		one = append(one, []string{thousands(n), thousands(len(d.all)), d.p50.spread("%.2f"), fmt.Sprintf("%.2f", d.all.quantile(0.99)),
			d.limitP50.spread("%.2f"), fmt.Sprintf("%.2f", d.limitAll.quantile(0.99)), d.p50.over(d.limitP50).spread("%.2f")})
		many = append(many, []string{thousands(n), d.batch.spread("%.0f"), d.batchLimit.spread("%.0f"), d.batch.over(d.batchLimit).spread("%.2f")})
	}
	return table(one) + "\n" + table(many) + "\n" + table(append([][]string{{"what, with 100,000 ports", "measured"}}, rest...)), nil
}

// A stored is a daemon whose intent is in a store on a disk.
type stored struct {
	daemon
	dir   string // on the disk
	n     int
	http  *http.Client
	raw   *rawConn // connection to limitBridge
	log   *os.File // on the same disk
	conns []io.Closer

	// Milliseconds.
	p50, limitP50, all, limitAll, batch, batchLimit sample
}

func startStored(ctx context.Context, n int) (*stored, error) {
	h, err := newHost(ctx)
	if err != nil {
		return nil, err
	}
	d := &stored{daemon: daemon{h: h}, n: n}
	if err := d.begin(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *stored) close() {
	for _, c := range d.conns {
		c.Close()
	}
	d.h.Close()
	os.RemoveAll(d.dir)
}

func (d *stored) begin(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("/var/tmp", "ofdvr-bench-"); err != nil { // the bubble's own /tmp is in memory
		return err
	}
	if d.log, err = os.Create(filepath.Join(d.dir, "log")); err != nil {
		return err
	}
	d.conns = append(d.conns, d.log)
	d.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: apiClients, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.h.Dial(ctx, "unix", "/run/ofdvr/api.sock")
	}}}
	for _, bridge := range []string{lab.IntegrationBridge, limitBridge} {
		if err := d.h.AddBridge(ctx, bridge); err != nil {
			return err
		}
	}
	if _, err := d.h.Vsctl(ctx, "set", "bridge", limitBridge, "fail_mode=secure", "protocols=OpenFlow13"); err != nil {
		return err
	}
	nc, err := d.h.Dial(ctx, "unix", "/run/openvswitch/"+limitBridge+".mgmt")
	if err != nil {
		return err
	}
	if d.raw, err = newRawConn(nc); err != nil {
		return err
	}
	d.conns = append(d.conns, nc)
	if err := d.serve(ctx); err != nil {
		return err
	}
	text, err := json.Marshal(portsTopology(d.n))
	if err != nil {
		return err
	}
	_, err = d.ask(ctx, http.MethodPut, "/v1/topology?wait=applied&timeout=5m", text)
	return err
}

// serve starts the daemon and returns when it answers.
func (d *stored) serve(ctx context.Context) (err error) {
	if d.p, err = d.h.StartDaemon("serve", "--state-dir", filepath.Join(d.dir, "state")); err != nil {
		return err
	}
	_, err = d.h.Ofdvr(ctx, "status", "--wait", "--timeout", "5m")
	return err
}

// ask returns the body of a reply, which must say that the write is applied.
func (d *stored) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://ofdvr"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode >= 300 || !bytes.Contains(text, []byte(`"applied":true`))) {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
	}
	return text, err
}

// portBody returns the body and path of the i-th port beyond those of the topology.
func portBody(i, version int) (path string, body []byte) {
	return fmt.Sprintf("/v1/ports/extra%d?wait=applied&timeout=1m", i), fmt.Appendf(nil, `{"network":"big","mac":%q,"addresses":["10.%d.%d.%d"]}`,
		macAddress(3+version, i), 100+i>>16, i>>8&0xff, i&0xff)
}

// puts measures writes of single ports, one after the other. The baseline appends a
// record of the same length to a file on the same disk with fdatasync, and then adds a
// pre-encoded flow to a bridge of the same switch.
func (d *stored) puts(ctx context.Context, rounds int) error {
	limit := routedFlows(1)
	record := make([]byte, 200)
	for round := range rounds {
		first := len(d.all)
		for i := range putsEachRound {
			path, body := portBody(round*putsEachRound+i, 0)
			start := time.Now()
			if _, err := d.ask(ctx, http.MethodPut, path, body); err != nil {
				return err
			}
			d.all = append(d.all, time.Since(start).Seconds()*1000)
			start = time.Now()
			if _, err := d.log.Write(record); err != nil {
				return err
			}
			if err := d.log.Sync(); err != nil {
				return err
			}
			if err := d.raw.exchange(encodeBundle(limit)); err != nil {
				return err
			}
			d.limitAll = append(d.limitAll, time.Since(start).Seconds()*1000)
			if err := d.raw.exchange(encodeBundle(deleted(limit))); err != nil {
				return err
			}
			if _, err := d.ask(ctx, http.MethodDelete, path, nil); err != nil {
				return err
			}
		}
		d.p50, d.limitP50 = append(d.p50, d.all[first:].median()), append(d.limitP50, d.limitAll[first:].median())
		fmt.Fprintf(os.Stderr, "  %6d ports, one put, round %2d, ms: %.2f, limit %.2f\n", d.n, round+1, d.p50[round], d.limitP50[round])
	}
	return nil
}

// batches measures writes of 10,000 ports in one request. The baseline sends their
// pre-encoded flows in one bundle to a bridge of the same switch.
func (d *stored) batches(ctx context.Context, rounds int) error {
	var put objects
	var ids []string
	for i := range batchPorts {
		id := fmt.Sprint("batch", i)
		ids = append(ids, id)
		put = append(put, object{"id": id, "network": "big", "mac": macAddress(9, i), "addresses": []string{fmt.Sprintf("10.110.%d.%d", i>>8, i&0xff)}})
	}
	body, err := json.Marshal(object{"put": object{"ports": put}})
	if err != nil {
		return err
	}
	gone, err := json.Marshal(object{"delete": object{"ports": ids}})
	if err != nil {
		return err
	}
	mods := routedFlows(batchPorts)
	wire, last := encodeBundle(mods)
	for round := range rounds {
		runtime.GC()
		start := time.Now()
		if _, err := d.ask(ctx, http.MethodPatch, "/v1/topology?wait=applied&timeout=1m", body); err != nil {
			return err
		}
		d.batch = append(d.batch, time.Since(start).Seconds()*1000)
		if _, err := d.ask(ctx, http.MethodPatch, "/v1/topology?wait=applied&timeout=1m", gone); err != nil {
			return err
		}
		start = time.Now()
		if err := d.raw.exchange(wire, last); err != nil {
			return err
		}
		d.batchLimit = append(d.batchLimit, time.Since(start).Seconds()*1000)
		if err := d.raw.exchange(encodeBundle(deleted(mods))); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "  %6d ports, a batch, round %2d, ms: %.0f, limit %.0f\n", d.n, round+1, d.batch[round], d.batchLimit[round])
	}
	return nil
}

func deleted(mods []ofproto.FlowMod) []ofproto.FlowMod {
	out := make([]ofproto.FlowMod, len(mods))
	for i, m := range mods {
		m.Command = ofproto.FlowDeleteStrict
		out[i] = m
	}
	return out
}

// rest makes the measurements that do not depend on the number of rounds.
func (d *stored) rest(ctx context.Context) ([][]string, error) {
	lat, took, err := d.crowd(ctx)
	if err != nil {
		return nil, err
	}
	rows := [][]string{
		{fmt.Sprintf("%s clients at once, each changing a port of its own %d times: changes a second", thousands(apiClients), putsEach), fmt.Sprintf("%.0f", float64(len(lat))/took.Seconds())},
		{"until such a change is confirmed: p50, p99", fmt.Sprintf("%.0f ms, %.0f ms", lat.quantile(0.5), lat.quantile(0.99))},
	}
	for _, c := range []struct {
		what  string
		empty bool
	}{{"start of the daemon, the switch has the flows: until all is confirmed", false}, {"start of the daemon, the switch has none: until all is confirmed", true}} {
		if err := d.kill(ctx, c.empty); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := d.serve(ctx); err != nil {
			return nil, err
		}
		rows = append(rows, []string{c.what, fmt.Sprintf("%.2f s", time.Since(start).Seconds())})
		fmt.Fprintf(os.Stderr, "  %s: %v\n", c.what, time.Since(start))
	}
	if err := pause(ctx, collected); err != nil {
		return nil, err
	}
	rss, err := d.memory()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(d.dir, "state", "intent.db"))
	if err != nil {
		return nil, err
	}
	return append(rows, []string{"resident memory, after " + collected.String(), fmt.Sprintf("%d MB", rss>>20)},
		[]string{"the store's file", fmt.Sprintf("%d MB", info.Size()>>20)}), nil
}

// kill ends the daemon and, with empty, deletes the router's flows from the switch.
func (d *stored) kill(ctx context.Context, empty bool) error {
	if _, err := d.p.Stop(ctx); err != nil {
		return err
	}
	if !empty {
		return nil
	}
	nc, err := d.h.Dial(ctx, "unix", "/run/openvswitch/rb-r1.mgmt")
	if err != nil {
		return err
	}
	c := ofconn.New(nc, ofconn.Config{})
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(run, func(ofproto.Message) {}) }()
	err = c.Program(ctx, []ofproto.FlowMod{{Command: ofproto.FlowDelete, Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Table: ofproto.AllTables}}}})
	stop()
	<-ended
	return err
}

// crowd makes many clients change one port each at the same time. It returns the
// milliseconds of each change and the total time.
func (d *stored) crowd(ctx context.Context) (sample, time.Duration, error) {
	each := make([]sample, apiClients)
	errs := make([]error, apiClients)
	change := func(i, version int) {
		path, body := portBody(i, version)
		start := time.Now()
		_, err := d.ask(ctx, http.MethodPut, path, body)
		each[i], errs[i] = append(each[i], time.Since(start).Seconds()*1000), errors.Join(errs[i], err)
	}
	var first sync.WaitGroup
	for i := range apiClients {
		first.Go(func() { change(i, 0) }) // opens the connection and makes the port
	}
	first.Wait()
	clear(each)
	start := time.Now()
	var g sync.WaitGroup
	for i := range apiClients {
		g.Go(func() {
			for v := range putsEach {
				change(i, v%2+1)
			}
		})
	}
	g.Wait()
	took := time.Since(start)
	var all sample
	for _, s := range each {
		all = append(all, s...)
	}
	fmt.Fprintf(os.Stderr, "  %d clients: %d changes in %v\n", apiClients, len(all), took)
	if err := errors.Join(errs...); err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return nil, 0, errors.New(text)
	}
	return all, took, nil
}
