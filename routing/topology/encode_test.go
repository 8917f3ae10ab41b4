package topology_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

var sameModel = []cmp.Option{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

// marshal returns v encoded by encoding/json without HTML escapes.
func marshal(t interface{ Fatal(...any) }, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// The appended text equals the output of encoding/json for the document, and is decoded to an
// equal value.
func TestAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNasty(t)
		for i := range m.Hosts {
			checkAppend(t, m.Hosts[i], topology.AppendHost, topology.HostOf, topology.ParseHost)
		}
		for i := range m.Networks {
			n := m.Networks[i]
			checkAppend(t, n, topology.AppendNetwork, topology.NetworkOf, topology.ParseNetwork)
		}
		for i := range m.Routers {
			checkAppend(t, m.Routers[i], topology.AppendRouter, topology.RouterOf, topology.ParseRouter)
		}
		for i := range m.Ports {
			checkAppend(t, m.Ports[i], topology.AppendPort, topology.PortOf, topology.ParsePort)
		}
	})
}

func checkAppend[T, D any](t *rapid.T, v T, appendTo func([]byte, *T) []byte, document func(T) D, parse func([]byte) (T, error)) {
	data := appendTo([]byte("x"), &v)
	if got, want := string(data), "x"+marshal(t, document(v)); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	got, err := parse(data[1:])
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if diff := cmp.Diff(v, got, sameModel...); diff != "" {
		t.Fatalf("-want +got:\n%s\n%s", diff, data)
	}
	for i := range data { // shows whether the decoded value refers to data
		data[i] = 'x'
	}
	if diff := cmp.Diff(v, got, sameModel...); diff != "" {
		t.Fatalf("changed with the data: %s", diff)
	}
}

// Any text, valid or not, is escaped as encoding/json escapes it. All control characters are
// escaped too.
func TestAppendAnyText(t *testing.T) {
	control := regexp.MustCompile("[\u007f-\u009f]")
	rapid.Check(t, func(t *rapid.T) {
		p := routing.Port{ID: rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()),
			func(b []byte) string { return string(b) })).Draw(t, "id")}
		want := control.ReplaceAllStringFunc(marshal(t, topology.PortOf(p)), func(s string) string {
			r, _ := utf8.DecodeRuneInString(s)
			return fmt.Sprintf("\\u%04x", r)
		})
		if got := string(topology.AppendPort(nil, &p)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// Appending to a buffer with enough capacity allocates nothing.
func TestAppendAllocatesNothing(t *testing.T) {
	m := &routing.Model{
		Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 9000}},
		Ports:    []routing.Port{benchPort(7)},
	}
	b := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		topology.AppendNetwork(b, &m.Networks[0])
		topology.AppendPort(b, &m.Ports[0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A model that is written as a file is read back as an equal model.
func TestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNasty(t)
		var yaml, js bytes.Buffer
		if err := topology.WriteYAML(&yaml, m); err != nil {
			t.Fatal(err)
		}
		if err := topology.WriteJSON(&js, m); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"x.yaml": yaml.Bytes(), "x.json": js.Bytes()} {
			got, _, err := topology.Parse(name, data)
			if err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			if diff := cmp.Diff(m, got, sameModel...); diff != "" {
				t.Fatalf("%s (-want +got):\n%s\n%s", name, diff, data)
			}
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, js.Bytes()); err != nil {
			t.Fatal(err)
		}
		if got, want := compact.String(), marshal(t, topology.DocumentOf(m)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// Writing takes memory that does not grow with the model.
func TestWriteStreams(t *testing.T) {
	m := &routing.Model{Ports: make([]routing.Port, 100_000)}
	for i := range m.Ports {
		m.Ports[i] = benchPort(i)
	}
	for name, write := range map[string]func(io.Writer, *routing.Model) error{"YAML": topology.WriteYAML, "JSON": topology.WriteJSON} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := write(io.Discard, m); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}

// Errors of the writer are returned.
func TestWriteFails(t *testing.T) {
	m := &routing.Model{Ports: []routing.Port{benchPort(0)}}
	full := errors.New("no space left")
	for _, write := range []func(io.Writer, *routing.Model) error{topology.WriteYAML, topology.WriteJSON} {
		if err := write(failing{full}, m); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
}

// A failing writer returns an error for every write.
type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

// Parsing and writing the examples returns the same text, except for comments.
func TestWriteExamples(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^#.*\n|  #.*$`)
	for _, name := range []string{"two-networks", "external-bridge", "mininet"} {
		file := "../../examples/" + name + "/topology.yaml"
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := topology.Parse(file, data)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := topology.WriteYAML(&b, m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(comment.ReplaceAllString(string(data), ""), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestWriteHosts shows hosts, and the keys of networks and ports that refer to them. Without hosts
// there is no list of hosts.
func TestWriteHosts(t *testing.T) {
	addr := netip.MustParseAddr
	m := &routing.Model{
		Hosts: []routing.Host{
			{ID: "h1", Meta: &routing.Meta{Name: "rack 1"}, Tunnel: routing.Tunnel{Address: addr("2001:db8::1")}},
			{ID: "h2", Tunnel: routing.Tunnel{Type: routing.TunnelVXLAN, Address: addr("192.0.2.2")}},
			{ID: "h3"},
		},
		Networks: []routing.Network{{ID: "blue", MTU: 1400, VNI: 5001, Broadcast: routing.BroadcastDHCP}},
		Ports:    []routing.Port{{ID: "b1", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1, 1}, Host: "h1"}},
	}
	const yaml = `hosts:
  - {id: h1, name: "rack 1", tunnel: {address: "2001:db8::1"}}
  - {id: h2, tunnel: {type: vxlan, address: 192.0.2.2}}
  - {id: h3}
networks:
  - {id: blue, mtu: 1400, vni: 5001, broadcast: dhcp}
ports:
  - {id: b1, network: blue, mac: "02:00:00:00:01:01", host: h1}
`
	const js = `{"hosts":[
{"id":"h1","name":"rack 1","tunnel":{"address":"2001:db8::1"}},
{"id":"h2","tunnel":{"type":"vxlan","address":"192.0.2.2"}},
{"id":"h3"}
],
"networks":[
{"id":"blue","mtu":1400,"vni":5001,"broadcast":"dhcp"}
],
"routers":[],
"ports":[
{"id":"b1","network":"blue","mac":"02:00:00:00:01:01","host":"h1"}
]}
`
	var b strings.Builder
	if err := topology.WriteYAML(&b, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(yaml, b.String()); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	b.Reset()
	if err := topology.WriteJSON(&b, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(js, b.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// TestWriteRouter shows every key of a router in YAML and JSON.
func TestWriteRouter(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	m := &routing.Model{Routers: []routing.Router{{
		ID: "r1", Namespace: "ns 1", Fallback: routing.FallbackNone,
		Bridge: routing.Bridge{Name: "br-x", DatapathID: 0x10, Foreign: routing.ForeignIgnore},
		Interfaces: []routing.Interface{{ID: "7", Network: "12345678-90ab-4def-8123-456789abcdef", MAC: ofproto.MAC{2, 0, 0, 0, 1, 1}, PatchPort: "p1", TapPort: "null",
			Addresses: []netip.Prefix{prefix("10.0.1.1/24"), prefix("2001:db8::1/64")}, Down: true,
			RA: &routing.RA{Managed: true, Other: true, Interval: 30, MTU: 1280, Prefixes: []routing.RAPrefix{{Prefix: prefix("2001:db8::/64"), Valid: 60}}}}},
		Routes: []routing.Route{
			{Destination: prefix("10.9.0.0/16"), NextHops: []routing.NextHop{{Address: addr("10.0.1.10"), Weight: 1}}},
			{Destination: prefix("0.0.0.0/0"), NextHops: []routing.NextHop{{Address: addr("10.0.1.10"), Weight: 5}}},
			{Destination: prefix("::/0"), NextHops: []routing.NextHop{{Address: addr("2001:db8::2"), Weight: 2}, {Address: addr("2001:db8::3"), Weight: 1}}},
			{Destination: prefix("10.7.0.0/16"), Type: routing.RouteReject},
		},
	}, {ID: "r2", ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50, Bridge: routing.Bridge{Managed: true}}}}
	const yaml = `routers:
  - id: r1
    namespace: "ns 1"
    fallback: none
    arp_responder: false
    nd_responder: false
    echo_responder: false
    answer_rate: 0
    unknown_rate: 0
    bridge: {managed: false, name: br-x, datapath_id: "0000000000000010", foreign_flows: ignore}
    interfaces:
      - {id: "7", network: 12345678-90ab-4def-8123-456789abcdef, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24, "2001:db8::1/64"], patch_port: p1, tap_port: "null", admin_state: down, ra: {managed: true, other: true, lifetime: 0, interval: 30, mtu: 1280, prefixes: [{prefix: "2001:db8::/64", on_link: false, autonomous: false, valid_lifetime: 60, preferred_lifetime: 0}]}}
    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.1.10}
      - {destination: 0.0.0.0/0, nexthops: [{address: 10.0.1.10, weight: 5}]}
      - {destination: "::/0", nexthops: [{address: "2001:db8::2", weight: 2}, {address: "2001:db8::3"}]}
      - {destination: 10.7.0.0/16, type: reject}
  - id: r2
`
	const js = `{"networks":[],
"routers":[
{"id":"r1","namespace":"ns 1","fallback":"none","arp_responder":false,"nd_responder":false,"echo_responder":false,"answer_rate":0,"unknown_rate":0,"bridge":{"managed":false,"name":"br-x","datapath_id":"0000000000000010","foreign_flows":"ignore"},"interfaces":[{"id":"7","network":"12345678-90ab-4def-8123-456789abcdef","mac":"02:00:00:00:01:01","addresses":["10.0.1.1/24","2001:db8::1/64"],"patch_port":"p1","tap_port":"null","admin_state":"down","ra":{"managed":true,"other":true,"lifetime":0,"interval":30,"mtu":1280,"prefixes":[{"prefix":"2001:db8::/64","on_link":false,"autonomous":false,"valid_lifetime":60,"preferred_lifetime":0}]}}],"routes":[{"destination":"10.9.0.0/16","nexthop":"10.0.1.10"},{"destination":"0.0.0.0/0","nexthops":[{"address":"10.0.1.10","weight":5}]},{"destination":"::/0","nexthops":[{"address":"2001:db8::2","weight":2},{"address":"2001:db8::3"}]},{"destination":"10.7.0.0/16","type":"reject"}]},
{"id":"r2"}
],
"ports":[]}
`
	var b strings.Builder
	if err := topology.WriteYAML(&b, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(yaml, b.String()); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	b.Reset()
	if err := topology.WriteJSON(&b, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(js, b.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
