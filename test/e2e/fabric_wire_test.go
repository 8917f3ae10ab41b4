package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// uplinks connects an uplink of each host to a switch, and makes them the links of f. When the test
// ends, it checks the MAC table of the switch.
func (f *fleet) uplinks() *lab.Underlay {
	f.t.Helper()
	u, _ := lab.Connect(f.t, 0)
	f.links = nil
	for i, s := range f.hosts {
		l, err := u.Uplink(f.t.Context(), s.Host, i+1)
		if err != nil {
			f.t.Fatal(err)
		}
		f.links = append(f.links, l)
	}
	moves, err := u.WatchAddresses()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		now, err := u.Addresses(ctx)
		if err != nil {
			f.t.Error(err)
		}
		log, err := os.ReadFile(moves.LogFile)
		if err != nil {
			f.t.Error(err)
		}
		f.checkSwitch(now)
		f.checkSwitch(lab.Addresses(string(log)))
	})
	return u
}

// uplinkMAC returns the MAC address with which a host sends by its uplink what it has routed to a
// network, given by its index.
func uplinkMAC(host int, f *fleet, network int) string {
	return routing.UplinkMAC(fmt.Sprint("h", host), "r1-"+f.networks[network].id).String()
}

// checkSwitch checks the ports on which the switch has seen each MAC address: the addresses of
// gateways on none, those with which a host routes on the port of this host only, and all others on
// one port, unless machines move.
func (f *fleet) checkSwitch(seen map[string][]string) {
	f.t.Helper()
	routes := make(map[string]string)
	for n := range f.networks {
		routes[gatewayMAC(n)] = ""
		for i := range f.hosts {
			routes[uplinkMAC(i+1, f, n)] = fmt.Sprint("uplink", i+1)
		}
	}
	for mac, ports := range seen {
		want, ours := routes[mac]
		switch {
		case ours && !slices.Equal(ports, strings.Fields(want)):
			f.t.Errorf("the switch has seen %s, which routers use, on ports %v, want %q", mac, ports, want)
		case !ours && len(ports) != 1 && !f.moves:
			f.t.Errorf("the switch has seen %s on ports %v", mac, ports)
		}
	}
}

// ofdvr warns of networks whose packets do not fit through the uplink, in doctor, status and check.
func TestUplinkMTU(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.uplinks()
	topology := strings.Replace(uplinkTopology(2, blueAndGreen, nil), "vlan: 101, mtu: 1400", "vlan: 101, mtu: 1501", 1)
	f.serve(topology)
	h1 := f.hosts[0]
	h1.settle()
	const misfit = "network blue: packets of 1501 bytes, its mtu, do not fit through uplink eth1, whose MTU is 1500"
	h1.eventually("the warning", func() error { return lacks(h1.ofdvr(0, "status"), "warning: "+misfit) })
	out, _ := h1.Ofdvr(t.Context(), "doctor")
	mustHave(t, out, "WARNING  "+misfit)
	if strings.Contains(out, "network green: packets") {
		t.Errorf("doctor warns of a network that fits:\n%s", out)
	}
	file, err := h1.WriteFile("named.yaml", strings.Replace(topology, "{id: h1,", "{id: "+strings.TrimSpace(h1.sh("", "hostname"))+",", 1)) // check finds a host without a tunnel by its name
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, h1.warned("check", file), misfit)
	h1.sh("", "ip link set "+lab.UplinkNIC+" mtu 1501")
	h1.eventually("the warning to go", func() error {
		out := h1.ofdvr(0, "status")
		if strings.Contains(out, "do not fit") {
			return fmt.Errorf("the status is %s", out)
		}
		return nil
	})
}
