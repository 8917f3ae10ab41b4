package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/test/lab"
)

// onEach calls f for all hosts of a fleet at the same time.
func onEach(f func(host int) error) error {
	var g errgroup.Group
	for i := range fleetSize {
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}

// ofdvrOverlay is ofdvr. Each host has a store of its own; a client writes to all of them at once.
type ofdvrOverlay struct {
	hosts   []*lab.Host
	clients []*http.Client
	daemons []*lab.Process
}

func (*ofdvrOverlay) name() string                  { return "ofdvr" }
func (*ofdvrOverlay) bridge() string                { return lab.IntegrationBridge }
func (*ofdvrOverlay) first() int                    { return 10 }
func (o *ofdvrOverlay) agent(host int) *lab.Process { return o.daemons[host] }

func (o *ofdvrOverlay) start(ctx context.Context, f *fleet) error {
	o.hosts, o.daemons = f.hosts, make([]*lab.Process, fleetSize)
	var hosts, networks, interfaces objects
	for i := range fleetSize {
		hosts = append(hosts, object{"id": fmt.Sprint("h", i+1), "tunnel": object{"address": fmt.Sprint("192.168.77.", i+1)}})
	}
	for n := o.first(); n <= o.first()+unrouted; n++ {
		address, mac := gateway(n)
		id := fmt.Sprint("net", n)
		networks = append(networks, object{"id": id, "vni": 5000 + n, "mtu": 1400})
		if n%10 == unrouted {
			continue
		}
		interfaces = append(interfaces, object{"id": id, "network": id, "mac": mac, "addresses": []string{address + "/16"}})
	}
	text, err := json.Marshal(object{"hosts": hosts, "networks": networks, "routers": objects{{"id": "r1", "interfaces": interfaces}}})
	if err != nil {
		return err
	}
	for _, h := range o.hosts {
		o.clients = append(o.clients, h.HTTPUnix("/run/ofdvr/api.sock"))
	}
	if err := onEach(o.startAgent); err != nil {
		return err
	}
	if err := o.settled(ctx); err != nil {
		return err
	}
	return onEach(func(i int) error {
		return o.ask(ctx, i, http.MethodPut, "/v1/topology?wait=applied&timeout=1m", text, true)
	})
}

func (o *ofdvrOverlay) startAgent(host int) (err error) {
	h := o.hosts[host]
	o.daemons[host], err = h.StartDaemon("serve", "--host", fmt.Sprint("h", host+1), "--state-dir", filepath.Join(h.Dir(), "state"))
	return err
}

func (o *ofdvrOverlay) settled(ctx context.Context) error {
	return onEach(func(i int) error {
		_, err := o.hosts[i].Ofdvr(ctx, "status", "--wait", "--timeout", "1m")
		return err
	})
}

// ask sends a write to a host's daemon. With confirmed, the reply must say that it is applied.
func (o *ofdvrOverlay) ask(ctx context.Context, host int, method, path string, body []byte, confirmed bool) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://ofdvr"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := o.clients[host].Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode >= 300 || confirmed && !bytes.Contains(text, []byte(`"applied":true`))) {
		err = fmt.Errorf("host %d: %s %s: %s: %.300s", host+1, method, path, resp.Status, text)
	}
	return err
}

// patch sends a change to all hosts.
func (o *ofdvrOverlay) patch(ctx context.Context, change object, confirmed bool) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	path := "/v1/topology"
	if confirmed {
		path += "?wait=applied&timeout=5m"
	}
	return onEach(func(i int) error { return o.ask(ctx, i, http.MethodPatch, path, body, confirmed) })
}

func (o *ofdvrOverlay) declare(ctx context.Context, ports []fleetPort, confirmed bool) error {
	var put objects
	for _, p := range ports {
		port := object{"id": p.id, "network": fmt.Sprint("net", p.network), "mac": p.mac, "addresses": []string{p.address}}
		if p.host != noHost {
			port["host"] = fmt.Sprint("h", p.host+1)
		}
		put = append(put, port)
	}
	if err := o.patch(ctx, object{"put": object{"ports": put}}, confirmed); err != nil || !confirmed {
		return err
	}
	return onEach(func(i int) error { return o.tagged(ctx, i, ports) })
}

// tagged returns when the daemon of a host has set the tags of its machines.
func (o *ofdvrOverlay) tagged(ctx context.Context, host int, ports []fleetPort) error {
	here := make(map[string]bool)
	for _, p := range ports {
		if p.host == host {
			here[p.id] = true
		}
	}
	if len(here) == 0 {
		return nil
	}
	return lab.Await(ctx, "the tags of machines", func() error {
		out, err := o.hosts[host].Vsctl(ctx, "--bare", "--columns=name", "find", "Port", "tag=[]")
		for _, name := range strings.Fields(out) {
			if here[name] {
				return fmt.Errorf("%s has no tag", name)
			}
		}
		return err
	})
}

func (o *ofdvrOverlay) withdraw(ctx context.Context, ports []fleetPort) error {
	ids := make([]string, len(ports))
	for i := range ports {
		ids[i] = ports[i].id
	}
	return o.patch(ctx, object{"delete": object{"ports": ids}}, true)
}

// ovnOverlay is OVN from Debian's packages. Its databases and ovn-northd are on a fourth host, which
// cables connect to the others. A client keeps its connection to the northbound database, as a daemon
// of ovn-nbctl.
type ovnOverlay struct {
	hosts   []*lab.Host
	central *lab.Host
	agents  []*lab.Process
}

func (*ovnOverlay) name() string                  { return "OVN" }
func (*ovnOverlay) bridge() string                { return ovnBridge }
func (*ovnOverlay) first() int                    { return 20 }
func (o *ovnOverlay) agent(host int) *lab.Process { return o.agents[host] }

func (o *ovnOverlay) start(ctx context.Context, f *fleet) (err error) {
	o.hosts, o.agents = f.hosts, make([]*lab.Process, fleetSize)
	if o.central, err = newHost(ctx); err != nil {
		return err
	}
	f.others = append(f.others, o.central)
	if err := startCentral(ctx, o.central); err != nil {
		return err
	}
	if _, err := o.central.Run(ctx, "ovn-nbctl", "--db="+nbSocket, "--unixctl="+nbctlSocket, "--detach", "--pidfile"); err != nil {
		return err
	}
	for i, h := range o.hosts {
		cable := fmt.Sprint("mgmt", i+1)
		if err := o.central.Wire(ctx, h, cable); err != nil {
			return err
		}
		for end, host := range []*lab.Host{o.central, h} {
			if _, err := host.Run(ctx, "ip", "addr", "add", fmt.Sprintf("10.255.%d.%d/30", i+1, end+1), "dev", cable); err != nil {
				return err
			}
		}
		if err := setOVN(ctx, h, fmt.Sprint("h", i+1), fmt.Sprintf("tcp:10.255.%d.1:%d", i+1, sbPort), aliasOf(i)); err != nil {
			return err
		}
		if err := o.startAgent(i); err != nil {
			return err
		}
	}
	args := []string{"ls-add", fmt.Sprint("net", o.first()+unrouted), "--", "lr-add", "r"}
	for n := o.first(); n < o.first()+2; n++ {
		address, mac := gateway(n)
		args = append(args, ovnNetwork(n, mac, address+"/16")...)
	}
	return o.nbctl(ctx, true, args)
}

func (o *ovnOverlay) startAgent(host int) (err error) {
	o.agents[host], err = startController(o.hosts[host])
	return err
}

// nbctl sends commands, separated by "--", to the daemon of ovn-nbctl.
func (o *ovnOverlay) nbctl(ctx context.Context, confirmed bool, commands []string) error {
	args := []string{"OVN_NB_DAEMON=" + nbctlSocket, "ovn-nbctl", "--timeout=200"}
	if confirmed {
		args = append(args, "--wait=hv")
	}
	_, err := o.central.Run(ctx, "env", append(args, commands...)...)
	if err != nil {
		err = fmt.Errorf("ovn-nbctl: %.2000s", err.Error())
	}
	return err
}

func (o *ovnOverlay) declare(ctx context.Context, ports []fleetPort, confirmed bool) error {
	var args []string
	for _, p := range ports {
		args = append(args, "--", "lsp-add", fmt.Sprint("net", p.network), p.id, "--", "lsp-set-addresses", p.id, p.mac+" "+p.address)
	}
	if err := o.nbctl(ctx, confirmed, args[1:]); err != nil || !confirmed {
		return err
	}
	for _, p := range ports {
		if p.host == noHost {
			return nil
		}
	}
	if err := o.bound(ctx); err != nil {
		return err
	}
	return o.settled(ctx)
}

func (o *ovnOverlay) settled(ctx context.Context) error { return o.nbctl(ctx, true, []string{"sync"}) }

// bound returns when all ports of machines have a host.
func (o *ovnOverlay) bound(ctx context.Context) error {
	return lab.Await(ctx, "the ports to be bound", func() error {
		out, err := o.central.Run(ctx, "ovn-sbctl", "--db="+sbSocket, "--bare", "--columns=logical_port", "find", "Port_Binding", "type=\"\"", "chassis=[]")
		if err == nil && out != "" {
			err = errors.New("some ports have no host")
		}
		return err
	})
}

func (o *ovnOverlay) withdraw(ctx context.Context, ports []fleetPort) error {
	var args []string
	for _, p := range ports {
		args = append(args, "--", "lsp-del", p.id)
	}
	return o.nbctl(ctx, true, args[1:])
}

var _, _ overlay = (*ofdvrOverlay)(nil), (*ovnOverlay)(nil)
