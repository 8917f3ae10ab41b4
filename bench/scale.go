package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	idleRouters = 100
	manyRouters = 500
	calm        = 10 * time.Second  // pause in which the daemon finishes the work of its start
	collected   = 130 * time.Second // pause in which Go's garbage collector runs, because it runs at least every two minutes
	idleTime    = 30 * time.Second
	repairs     = 40
	repairPause = 1100 * time.Millisecond // pause between repairs, longer than the daemon's limit requires
)

// scale measures the cost of the daemon: on an idle host with few and with many routers;
// with one router with very many flows; and the time until a flow deleted by another
// program is restored.
func scale(ctx context.Context, _ int) (section, error) {
	rows := [][]string{{"what", "measured", "target"}}
	for _, n := range []int{idleRouters, manyRouters} {
		d, err := startDaemon(ctx, routersTopology(n))
		if err != nil {
			return "", err
		}
		settled := d.settled
		cpu, err := d.idle(ctx)
		if err != nil {
			return "", err
		}
		rss, err := d.memory()
		d.close()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "  %d routers: settled after %v, idle %.2f %% of a core, %d MB\n", n, settled, 100*cpu, rss>>20)
		target := "–"
		if n == idleRouters {
			target = "under 0.5 % of a core"
		}
		rows = append(rows,
			[]string{fmt.Sprintf("%d managed routers: from start to all confirmed", n), fmt.Sprintf("%.1f s", settled.Seconds()), "–"},
			[]string{fmt.Sprintf("%d managed routers, %v of nothing: CPU", n, idleTime), fmt.Sprintf("%.2f %% of a core", 100*cpu), target},
			[]string{fmt.Sprintf("%d managed routers: resident memory", n), fmt.Sprintf("%d MB", rss>>20), "–"})
	}
	var few, many int
	for _, c := range []struct {
		ports int
		rss   *int
	}{{1, &few}, {memoryPorts, &many}} {
		d, err := startDaemon(ctx, portsTopology(c.ports))
		if err != nil {
			return "", err
		}
		if c.ports == 1 {
			took, err := d.repair(ctx)
			if err != nil {
				return "", err
			}
			slices.Sort(took)
			rows = append(rows, []string{fmt.Sprintf("a deleted flow is back, %d times: median, longest", len(took)),
				fmt.Sprintf("%.1f, %.1f ms", took.median(), took[len(took)-1]), "200 ms"})
		}
		if err := pause(ctx, collected); err != nil {
			return "", err
		}
		*c.rss, err = d.memory()
		d.close()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "  %d ports: %d MB\n", c.ports, *c.rss>>20)
	}
	rows = append(rows, []string{fmt.Sprintf("%d flows: resident memory a flow, the intent included", memoryPorts),
		fmt.Sprintf("%d bytes", (many-few)/memoryPorts), "at most 1,024 bytes"})
	return table(rows), nil
}

const memoryPorts = 100_000

// A daemon is ofdvr on its own host.
type daemon struct {
	h        *lab.Host
	p        *lab.Process
	topology string        // its file
	settled  time.Duration // time from the daemon's start until all flows were confirmed
}

func (d *daemon) close() { d.h.Close() }

func startDaemon(ctx context.Context, topology any) (*daemon, error) {
	h, err := newHost(ctx)
	if err != nil {
		return nil, err
	}
	d := &daemon{h: h}
	if err := d.start(ctx, topology); err != nil {
		h.Close()
		return nil, err
	}
	return d, nil
}

func (d *daemon) start(ctx context.Context, topology any) error {
	h := d.h
	text, err := json.Marshal(topology)
	if err != nil {
		return err
	}
	if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil {
		return err
	}
	if d.topology, err = h.WriteFile("topology.json", string(text)); err != nil {
		return err
	}
	return d.serve(ctx)
}

// serve starts the daemon and waits until everything is confirmed.
func (d *daemon) serve(ctx context.Context) (err error) {
	start := time.Now()
	if d.p, err = d.h.StartDaemon("serve", "--topology", d.topology); err != nil {
		return err
	}
	if _, err := d.h.Ofdvr(ctx, "status", "--wait", "--timeout", "5m"); err != nil {
		return fmt.Errorf("%w\n%s", err, d.p.Log())
	}
	d.settled = time.Since(start)
	return nil
}

// idle returns the share of a core that the idle daemon uses.
func (d *daemon) idle(ctx context.Context) (float64, error) {
	if err := pause(ctx, calm); err != nil {
		return 0, err
	}
	before, err := d.cpu()
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return 0, err
	}
	after, err := d.cpu()
	return (after - before).Seconds() / idleTime.Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// cpu returns the daemon's CPU time (proc(5), stat).
func (d *daemon) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.p.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("cannot parse %q", data)
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil // a tick is 1/100 s
}

// memory returns the daemon's resident memory in bytes.
func (d *daemon) memory() (int, error) {
	now, _, err := d.p.Memory()
	return now, err
}

// repair returns the milliseconds from the deletion of a flow until the switch reports that
// it exists again.
func (d *daemon) repair(ctx context.Context) (sample, error) {
	nc, err := d.h.Dial(ctx, "unix", "/run/openvswitch/rb-r1.mgmt")
	if err != nil {
		return nil, err
	}
	added := make(chan time.Time, 100) // capacity larger than the number of unread values at any time
	conn := ofconn.New(nc, ofconn.Config{})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- conn.Run(ctx, func(m ofproto.Message) {
			if p, ok := m.(ofproto.Multipart); ok {
				for _, u := range p.Body.(ofproto.FlowMonitorReply) {
					if u.Event == ofproto.FlowAdded {
						added <- time.Now()
					}
				}
			}
		})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := (reconcile.Connected{Conn: conn}).Monitor(ctx); err != nil {
		return nil, err
	}
	flows, err := conn.Flows(ctx, ofproto.AllFlows())
	if err != nil {
		return nil, err
	}
	var took sample
	for i := range repairs {
		start := time.Now()
		if err := conn.Program(ctx, []ofproto.FlowMod{{Command: ofproto.FlowDeleteStrict, Flow: flows[i%len(flows)].Flow}}); err != nil {
			return nil, err
		}
		select {
		case t := <-added:
			took = append(took, t.Sub(start).Seconds()*1000)
		case <-time.After(10 * time.Second):
			return nil, fmt.Errorf("a deleted flow was not restored:\n%s", d.p.Log())
		}
		if err := pause(ctx, repairPause); err != nil {
			return nil, err
		}
	}
	return took, nil
}

type (
	object  map[string]any
	objects []object
)

// routersTopology has n routers with two networks and two ports each.
func routersTopology(n int) object {
	var networks, routers, ports objects
	for r := range n {
		var interfaces objects
		for k := range 2 {
			id := fmt.Sprintf("n%d-%d", r, k)
			subnet := fmt.Sprintf("10.%d.%d", 10+r/128, 2*(r%128)+k)
			networks = append(networks, object{"id": id, "vlan": 1 + (2*r+k)%4094})
			interfaces = append(interfaces, object{"id": "i" + id, "network": id, "mac": macAddress(1, 2*r+k), "addresses": []string{subnet + ".1/24"}})
			ports = append(ports, object{"id": "p" + id, "network": id, "mac": macAddress(2, 2*r+k), "addresses": []string{subnet + ".10"}})
		}
		routers = append(routers, object{"id": fmt.Sprint("r", r+1), "interfaces": interfaces})
	}
	return object{"networks": networks, "routers": routers, "ports": ports}
}

// portsTopology has a router with two networks, of which one has n ports.
func portsTopology(n int) object {
	ports := make(objects, n)
	for i := range ports {
		ports[i] = object{"id": fmt.Sprint("port", i), "network": "big", "mac": macAddress(2, i), "addresses": []string{fmt.Sprintf("10.0.%d.%d", i>>8, i&0xff)}}
		if n > 1 {
			ports[i]["addresses"] = []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)}
		}
	}
	return object{
		"networks": objects{{"id": "big", "vlan": 1}, {"id": "small", "vlan": 2}},
		"routers": objects{{"id": "r1", "interfaces": objects{
			{"id": "ibig", "network": "big", "mac": macAddress(1, 1), "addresses": []string{"10.127.255.1/9"}},
			{"id": "ismall", "network": "small", "mac": macAddress(1, 2), "addresses": []string{"192.168.1.1/24"}},
		}}},
		"ports": ports,
	}
}

func macAddress(kind, n int) string {
	return fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", kind, n>>16&0xff, n>>8&0xff, n&0xff)
}
