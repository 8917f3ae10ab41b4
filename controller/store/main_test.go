package store_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeUntilKilled(dir)
	}
	lab.Main(m)
}

// open opens the store in dir. The end of the test closes it.
func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(t testing.TB, s *store.Store, revision uint64, changes ...routing.Change) {
	t.Helper()
	if err := s.Commit(revision, true, changes...); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *store.Store) store.Contents {
	t.Helper()
	c, err := s.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// differ returns the difference between two Contents.
func differ(want, got store.Contents) string {
	if reflect.DeepEqual(want, got) {
		return "" // cmp is slow
	}
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty())
}

// An oracle is a store in memory.
type oracle struct {
	revision uint64
	complete bool
	hosts    map[string]routing.Host
	networks map[string]routing.Network
	routers  map[string]routing.Router
	ports    map[string]routing.Port
}

func newOracle() *oracle {
	return &oracle{hosts: map[string]routing.Host{}, networks: map[string]routing.Network{}, routers: map[string]routing.Router{}, ports: map[string]routing.Port{}}
}

func (o *oracle) commit(revision uint64, complete bool, changes ...routing.Change) {
	o.revision, o.complete = revision, complete
	for _, c := range changes {
		for _, id := range c.Delete.Hosts {
			delete(o.hosts, id)
		}
		for _, id := range c.Delete.Networks {
			delete(o.networks, id)
		}
		for _, id := range c.Delete.Routers {
			delete(o.routers, id)
		}
		for _, id := range c.Delete.Ports {
			delete(o.ports, id)
		}
		for _, v := range c.Put.Hosts {
			o.hosts[v.ID] = v
		}
		for _, v := range c.Put.Networks {
			o.networks[v.ID] = v
		}
		for _, v := range c.Put.Routers {
			o.routers[v.ID] = v
		}
		for _, v := range c.Put.Ports {
			o.ports[v.ID] = v
		}
	}
}

func (o *oracle) contents() store.Contents {
	m := &routing.Model{Networks: []routing.Network{}, Routers: []routing.Router{}, Ports: []routing.Port{}}
	for _, v := range o.hosts {
		m.Hosts = append(m.Hosts, v)
	}
	for _, v := range o.networks {
		m.Networks = append(m.Networks, v)
	}
	for _, v := range o.routers {
		m.Routers = append(m.Routers, v)
	}
	for _, v := range o.ports {
		m.Ports = append(m.Ports, v)
	}
	slices.SortFunc(m.Hosts, func(a, b routing.Host) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(m.Networks, func(a, b routing.Network) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(m.Routers, func(a, b routing.Router) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(m.Ports, func(a, b routing.Port) int { return strings.Compare(a.ID, b.ID) })
	return store.Contents{Revision: o.revision, Complete: o.complete, Model: m}
}

// site returns a valid model: a host, two networks, a router between them, and ports.
func site(ports int) routing.Model {
	m := routing.Model{
		Hosts:    []routing.Host{{ID: "h1", Tunnel: routing.Tunnel{Type: routing.TunnelVXLAN, Address: netip.MustParseAddr("192.0.2.1")}}},
		Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500, VNI: 5001, Broadcast: routing.BroadcastNone}, {ID: "green", MTU: 9000}},
		Routers: []routing.Router{{
			ID: "r1", ARPResponder: true, Bridge: routing.Bridge{Managed: true},
			Interfaces: []routing.Interface{
				{ID: "if-blue", Network: "blue", MAC: ofproto.MAC{6, 0, 0, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}},
				{ID: "if-green", Network: "green", MAC: ofproto.MAC{6, 0, 0, 0, 0, 2}, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}, TapPort: "tap2"},
			},
		}, {
			ID: "r2", Fallback: routing.FallbackNone,
			Bridge: routing.Bridge{Name: "br-ext", DatapathID: 0xabc, Foreign: routing.ForeignIgnore},
		}},
	}
	for i := range ports {
		m.Ports = append(m.Ports, port(i, 0))
	}
	return m
}

// port returns port number i. version selects one of several values.
func port(i int, version byte) routing.Port {
	mac := ofproto.MAC{2, version}
	binary.BigEndian.PutUint32(mac[2:], uint32(i))
	return routing.Port{
		Host: []string{"", "h1"}[i%2],
		ID:   fmt.Sprintf("%08x-5c1d-4f6e-9a57-3f2b8c9d0e1f", uint32(i)*2654435761), Network: "blue", MAC: mac,
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).Next().Next()},
	}
}
