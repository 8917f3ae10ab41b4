package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	aroundKill = time.Second            // duration of probes before and after a kill
	afterMove  = 300 * time.Millisecond // time after a move in which packets may still be lost
	ms         = 1000
)

// A trial has two machines on networks of one overlay that its router joins. One is on the first
// host. The other is plugged in on the second or third.
type trial struct {
	overlay overlay
	from    *lab.Machine
	at      [2]*lab.Machine // the other machine, on the second and third host
	ports   [2]fleetPort
	echoes  []io.Closer

	// Milliseconds.
	confirmed sample // time until all hosts have confirmed a new port
	reachable sample // time until the first host reaches a new port
	moved     sample // outage during a move, minus the time without a port
	lost, of  sample // lost packets and all packets, while agents were killed and started again
}

func newTrial(ctx context.Context, f *fleet, o overlay) (*trial, error) {
	t := &trial{overlay: o}
	n := o.first()
	for i := range t.ports {
		t.ports[i] = fleetPort{id: fmt.Sprint(machinePrefix, n+3+i), network: n + i, mac: macAddress(2, n+3+i), address: fmt.Sprintf("10.%d.0.%d", n+i, 13+i), host: noHost}
	}
	var err error
	if t.from, err = f.machine(ctx, 0, t.ports[0].id, t.ports[0]); err != nil {
		return nil, err
	}
	for i := range t.at {
		if t.at[i], err = f.machine(ctx, i+1, t.ports[1].id, t.ports[1]); err != nil {
			return nil, err
		}
		e, err := echo(ctx, t.at[i], t.ports[1].address)
		if err != nil {
			return nil, err
		}
		t.echoes = append(t.echoes, e)
	}
	if err := o.declare(ctx, t.ports[:1], true); err != nil {
		return nil, err
	}
	return t, plug(ctx, t.from, o, t.ports[0])
}

func (t *trial) close() {
	for _, e := range t.echoes {
		e.Close()
	}
}

// run adds one port several times, and kills the agents several times.
func (t *trial) run(ctx context.Context, ports, kills int) error {
	for range ports {
		if err := t.onePort(ctx); err != nil {
			return err
		}
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	for range kills {
		if err := t.kill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// probe starts to send packets to the other machine.
func (t *trial) probe(ctx context.Context, interval time.Duration) (*prober, error) {
	return probe(ctx, t.from, t.ports[0].address, t.ports[1].address, interval)
}

// onePort declares a port and plugs its machine in on the third host, and removes both. Then it
// declares the port without a machine, and waits until all hosts have confirmed it.
func (t *trial) onePort(ctx context.Context) error {
	port := t.ports[1:]
	start := time.Now()
	if err := t.overlay.declare(ctx, port, false); err != nil {
		return err
	}
	p, err := t.probe(ctx, probesOften)
	if err != nil {
		return err
	}
	defer p.close()
	if err := plug(ctx, t.at[1], t.overlay, port[0]); err != nil {
		return err
	}
	at, err := p.answered(ctx, start)
	if err != nil {
		return err
	}
	t.reachable = append(t.reachable, at.Sub(start).Seconds()*ms)
	p.close()
	if err := errors.Join(unplug(ctx, t.at[1]), t.overlay.withdraw(ctx, port)); err != nil {
		return err
	}
	start = time.Now()
	if err := t.overlay.declare(ctx, port, true); err != nil {
		return err
	}
	t.confirmed = append(t.confirmed, time.Since(start).Seconds()*ms)
	n := len(t.confirmed) - 1
	fmt.Fprintf(os.Stderr, "  %s: one more port confirmed after %.0f ms, reached after %.0f ms\n", t.overlay.name(), t.confirmed[n], t.reachable[n])
	return t.overlay.withdraw(ctx, port)
}

// settle declares the other machine's port and plugs it in on the second host.
func (t *trial) settle(ctx context.Context) error {
	if err := t.overlay.declare(ctx, t.ports[1:], true); err != nil {
		return err
	}
	if err := plug(ctx, t.at[0], t.overlay, t.ports[1]); err != nil {
		return err
	}
	p, err := t.probe(ctx, probesOften)
	if err != nil {
		return err
	}
	defer p.close()
	_, err = p.answered(ctx, time.Now())
	return err
}

// move moves the machine to the other one of the second and third host. Its port is first removed
// on the old host, and then added on the new one.
func (t *trial) move(ctx context.Context) error {
	p, err := t.probe(ctx, probesOften)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.answered(ctx, time.Now()); err != nil {
		return err
	}
	start := time.Now()
	if err := unplug(ctx, t.at[0]); err != nil {
		return err
	}
	t.at[0], t.at[1] = t.at[1], t.at[0]
	if err := plug(ctx, t.at[0], t.overlay, t.ports[1]); err != nil {
		return err
	}
	plugged := time.Now()
	if _, err := p.answered(ctx, plugged); err != nil {
		return err
	}
	if err := pause(ctx, afterMove); err != nil {
		return err
	}
	outage, _, _ := p.outage()
	t.moved = append(t.moved, (outage-plugged.Sub(start)).Seconds()*ms)
	fmt.Fprintf(os.Stderr, "  %s: moved, outage %v, without a port %v\n", t.overlay.name(), outage, plugged.Sub(start))
	return nil
}

// kill kills the agents of all hosts, while a probe sends 200 packets a second,
// and starts the agents again at once. It ends when all hosts have confirmed
// everything again.
func (t *trial) kill(ctx context.Context) error {
	p, err := t.probe(ctx, probesCalm)
	if err != nil {
		return err
	}
	defer p.close()
	if err := pause(ctx, aroundKill); err != nil {
		return err
	}
	err = onEach(func(i int) error {
		t.overlay.agent(i).Kill()
		return t.overlay.startAgent(i)
	})
	if err != nil {
		return err
	}
	if err := t.overlay.settled(ctx); err != nil {
		return err
	}
	if err := pause(ctx, aroundKill); err != nil {
		return err
	}
	if _, err := p.answered(ctx, time.Now()); err != nil {
		return err
	}
	_, lost, of := p.outage()
	t.lost, t.of = append(t.lost, float64(lost)), append(t.of, float64(of))
	fmt.Fprintf(os.Stderr, "  %s: agents killed, %d of %d packets lost\n", t.overlay.name(), lost, of)
	return nil
}

// losses returns, for each kill of the agents, the number of lost packets.
func (t *trial) losses() string {
	out := make([]string, len(t.lost))
	for i := range out {
		out[i] = fmt.Sprintf("%.0f of %.0f", t.lost[i], t.of[i])
	}
	return strings.Join(out, ", ")
}
