package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

var seed = flag.Uint64("seed", 1, "seed of the order and the randomness of the attacks of the benchmark hostile")

const (
	attackedPorts = 10_000
	attackTime    = 10 * time.Second // duration of pings and puts beside each attack
	attackPings   = 10 * time.Millisecond
	restTime      = time.Minute // limit of the pause between attacks
	restMemory    = 32 << 20    // bytes that the daemon may hold in addition to its idle memory
)

// underAttack measures the cost of each attack for a daemon that serves a switch: its peak
// memory, the latency of puts meanwhile, and lost pings between two machines that it routes.
// The seed determines the order of the attacks and their randomness.
func underAttack(ctx context.Context, _ int) (section, error) {
	d, err := startStored(ctx, attackedPorts)
	if err != nil {
		return "", err
	}
	defer d.close()
	from, to, err := d.machines(ctx)
	if err != nil {
		return "", err
	}
	if err := d.declareAbsent(ctx); err != nil {
		return "", err
	}
	if _, err := d.putWhile(ctx, func(time.Time) bool { return false }); err != nil { // all ports exist then
		return "", err
	}
	idle, _, err := d.p.Memory()
	if err != nil {
		return "", err
	}
	list := attacks()
	rand.New(rand.NewPCG(*seed, 0)).Shuffle(len(list)-1, func(i, j int) { list[1+i], list[1+j] = list[1+j], list[1+i] })
	rows := [][]string{{"attack", "peak memory over idle, MB", "a put, p99, ms", "a put, longest, ms", "pings lost"}}
	for _, a := range list {
		if err := d.rested(ctx, idle); err != nil {
			return "", err
		}
		o, err := d.under(ctx, a, from, to)
		if err != nil {
			return "", fmt.Errorf("%s: %w\n%s", a.name, err, d.p.Log())
		}
		row := []string{a.name, fmt.Sprintf("%.0f", float64(max(0, o.peak-idle))/(1<<20)), fmt.Sprintf("%.1f", o.puts.quantile(0.99)),
			fmt.Sprintf("%.0f", o.puts.quantile(1)), fmt.Sprintf("%d of %s", o.sent-o.received, thousands(o.sent))}
		fmt.Fprintf(os.Stderr, "  %s\n", strings.Join(row, " | "))
		rows = append(rows, row)
	}
	return section(fmt.Sprintf("Seed %d; %d MB when idle.\n\n", *seed, idle>>20)) + table(rows), nil
}

// rested waits until the daemon has freed the memory of the previous attack, except for
// restMemory, but no longer than restTime. Memory that is not freed counts for the next
// attack.
func (d *stored) rested(ctx context.Context, idle int) error {
	for begin := time.Now(); time.Since(begin) < restTime; {
		now, _, err := d.p.Memory()
		if err != nil || now < idle+restMemory {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// An outcome has the measurements during an attack.
type outcome struct {
	peak           int // bytes
	puts           sample
	sent, received int // pings
}

// under measures puts and pings for attackTime while an attack runs.
func (d *stored) under(ctx context.Context, a attack, from, to *lab.Machine) (o outcome, err error) {
	if err := d.p.ForgetPeak(); err != nil {
		return o, err
	}
	attacking, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.run(d, attacking, a.random()) }()
	type pinged struct {
		lab.PingResult
		error
	}
	pings := make(chan pinged, 1)
	go func() {
		r, err := from.Ping(ctx, to.IP(), lab.PingOptions{Count: int(attackTime / attackPings), Interval: attackPings})
		pings <- pinged{r, err}
	}()
	o.puts, err = d.putWhile(ctx, func(start time.Time) bool { return time.Since(start) < attackTime })
	p := <-pings
	stop()
	if attackErr := <-ended; err == nil && !errors.Is(attackErr, context.Canceled) {
		err = attackErr
	}
	if err == nil && !errors.Is(p.error, lab.ErrNoReply) {
		err = p.error
	}
	if err != nil {
		return o, err
	}
	o.sent, o.received = p.Sent, p.Received
	_, o.peak, err = d.p.Memory()
	return o, err
}

// machines plugs a machine into each network of the router.
func (d *stored) machines(ctx context.Context) (from, to *lab.Machine, err error) {
	if _, err := d.ask(ctx, http.MethodPut, "/v1/ports/from?wait=applied", fmt.Appendf(nil, `{"network":"small","mac":%q,"addresses":["192.168.1.10"]}`, macAddress(5, 1))); err != nil {
		return nil, nil, err
	}
	from, err = d.h.AddMachine(ctx, lab.MachineConfig{Name: "from", VLAN: 2, MAC: macAddress(5, 1), Addresses: []string{"192.168.1.10/24"}, Gateways: []string{"192.168.1.1"}})
	if err != nil {
		return nil, nil, err
	}
	to, err = d.h.AddMachine(ctx, lab.MachineConfig{Name: "to", VLAN: 1, MAC: macAddress(2, 10), Addresses: []string{"10.0.0.10/9"}, Gateways: []string{"10.127.255.1"}})
	if err == nil {
		_, err = from.Ping(ctx, to.IP(), lab.PingOptions{})
	}
	return from, to, err
}

// absent is a bridge of the intent that does not exist, and that a peer may claim to be.
const absent = "br-absent"

func (d *stored) declareAbsent(ctx context.Context) error {
	return d.change(ctx, http.MethodPut, "/v1/routers/absent", fmt.Appendf(nil,
		`{"bridge":{"managed":false,"name":%q},"interfaces":[{"id":"absent","network":"small","mac":%q,"addresses":["192.168.2.1/24"],"patch_port":"x","tap_port":"t"}]}`, absent, macAddress(1, 9)))
}

// change makes a change without waiting until it is applied.
func (d *stored) change(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://ofdvr"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
	}
	return err
}
