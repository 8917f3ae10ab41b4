package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	loadPorts  = 2000
	loadTrials = 10
	loadCalm   = 5 * time.Second
)

// A load2000 is an overlay with [loadPorts] ports whose machines are plugged in, spread over all hosts.
type load2000 struct {
	name    string
	took    sample // seconds
	memory  sample // MB, of the agent of each host
	central float64
	trial   *trial
}

// loaded measures an overlay with many ports, on hosts of its own.
func loaded(ctx context.Context, o overlay, rounds int) (*load2000, error) {
	f, err := newFleet(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	ports := make([]fleetPort, loadPorts)
	for i := range ports {
		n := o.first() + i%2
		ports[i] = fleetPort{id: fmt.Sprintf("%s-%04d", machinePrefix, i), network: n, mac: macAddress(4, i),
			address: fmt.Sprintf("10.%d.%d.%d", n, 1+i/200, 1+i%200), host: i % fleetSize}
	}
	err = onEach(func(host int) error {
		args := []string{"--timeout=120"}
		for _, p := range ports {
			if p.host == host {
				args = append(args, "--", "add-port", o.bridge(), p.id, "--", "set", "interface", p.id, "type=internal", "external_ids:iface-id="+p.id)
			}
		}
		_, err := f.hosts[host].Run(ctx, "ovs-vsctl", args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	l := &load2000{name: o.name()}
	for round := range rounds {
		if round > 0 {
			if err := o.withdraw(ctx, ports); err != nil {
				return nil, err
			}
		}
		start := time.Now()
		if err := o.declare(ctx, ports, true); err != nil {
			return nil, err
		}
		l.took = append(l.took, time.Since(start).Seconds())
		fmt.Fprintf(os.Stderr, "  %s, %d ports: %.2f s\n", o.name(), loadPorts, l.took[round])
		if round > 0 {
			continue
		}
		if err := pause(ctx, loadCalm); err != nil {
			return nil, err
		}
		for i := range fleetSize {
			now, _, err := o.agent(i).Memory()
			if err != nil {
				return nil, err
			}
			l.memory = append(l.memory, float64(now)/(1<<20))
		}
		for _, h := range f.others {
			l.central, err = residentMB(h)
			if err != nil {
				return nil, err
			}
		}
	}
	if l.trial, err = newTrial(ctx, f, o); err != nil {
		return nil, err
	}
	defer l.trial.close()
	return l, l.trial.run(ctx, loadTrials, rounds)
}

// residentMB returns the resident memory, in MB, of the running programs of an overlay's central
// host, without Open vSwitch's.
func residentMB(h *lab.Host) (float64, error) {
	var sum int
	for _, p := range h.Processes() {
		if p == h.Switch() || p == h.Database() {
			continue
		}
		now, _, err := p.Memory()
		if err != nil {
			return 0, err
		}
		sum += now
	}
	return float64(sum) / (1 << 20), nil
}
