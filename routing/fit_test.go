package routing_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
)

// A network does not fit if its MTU and the headers of a tunnel exceed the MTU of a path. The path
// with the least room counts, and networks that the host does not carry do not.
func TestMisfits(t *testing.T) {
	host := func(id, address, uplink string) routing.Host {
		h := routing.Host{ID: id, Uplink: uplink}
		if address != "" {
			h.Tunnel.Address = netip.MustParseAddr(address)
		}
		return h
	}
	paths := map[string]int{"192.0.2.2": 1500, "192.0.2.3": 1480, "2001:db8::2": 1500}
	path := func(a netip.Addr) (int, string, error) {
		if mtu, known := paths[a.String()]; known {
			return mtu, "eth0", nil
		}
		return 0, "", errors.New("no route")
	}
	uplink := func(name string) (int, error) {
		if name != "eth1" {
			return 0, errors.New("no such link")
		}
		return 1500, nil
	}
	for name, c := range map[string]struct {
		hosts []routing.Host
		want  []string
	}{
		"one host":     {[]routing.Host{host("h1", "192.0.2.1", "")}, nil},
		"another host": {[]routing.Host{host("h2", "192.0.2.2", ""), host("h3", "192.0.2.3", "")}, nil},
		"IPv4": {[]routing.Host{host("h1", "192.0.2.1", ""), host("h2", "192.0.2.2", "")},
			[]string{"over: packets of 1451 bytes, its mtu, and 50 bytes of a tunnel do not fit through link eth0, whose MTU is 1500, to host h2; set its mtu to 1450 or less, in the machines too, or raise that of the link"}},
		"IPv6": {[]routing.Host{host("h1", "2001:db8::1", ""), host("h2", "2001:db8::2", "")},
			[]string{"exact: packets of 1450 bytes, its mtu, and 70 bytes of a tunnel do not fit through link eth0, whose MTU is 1500, to host h2; set its mtu to 1430 or less, in the machines too, or raise that of the link",
				"over: packets of 1451 bytes, its mtu, and 70 bytes of a tunnel do not fit through link eth0, whose MTU is 1500, to host h2; set its mtu to 1430 or less, in the machines too, or raise that of the link"}},
		"least room": {[]routing.Host{host("h1", "192.0.2.1", ""), host("h2", "192.0.2.2", ""), host("h3", "192.0.2.3", ""), host("h4", "192.0.2.4", "")},
			[]string{"exact: packets of 1450 bytes, its mtu, and 50 bytes of a tunnel do not fit through link eth0, whose MTU is 1480, to host h3; set its mtu to 1430 or less, in the machines too, or raise that of the link",
				"over: packets of 1451 bytes, its mtu, and 50 bytes of a tunnel do not fit through link eth0, whose MTU is 1480, to host h3; set its mtu to 1430 or less, in the machines too, or raise that of the link"}},
		"no route": {[]routing.Host{host("h1", "192.0.2.1", ""), host("h4", "192.0.2.4", "")}, nil},
		"uplink": {[]routing.Host{host("h1", "", "eth1"), host("h2", "", "eth9")},
			[]string{"vlan: packets of 9000 bytes, its mtu, do not fit through uplink eth1, whose MTU is 1500; set its mtu to 1500 or less, in the machines too, or raise that of the link"}},
		"unknown uplink": {[]routing.Host{host("h1", "", "eth9"), host("h2", "", "eth1")}, nil},
	} {
		x := routing.NewIndex(&routing.Model{Hosts: c.hosts, Networks: []routing.Network{
			{ID: "exact", VNI: 1, MTU: 1450}, {ID: "local", MTU: 9000}, {ID: "over", VNI: 2, MTU: 1451}, {ID: "vlan", VLAN: 7, MTU: 9000}}})
		var got []string
		for _, m := range routing.Misfits(x, "h1", path, uplink) {
			got = append(got, m.Network+": "+m.String()+"; "+m.Remedy())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
