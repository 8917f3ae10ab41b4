package topology_test

import (
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestMessages reads the files of each archive in testdata. FILE.out has all messages for
// FILE: errors, or warnings if there are no errors.
func TestMessages(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := make(map[string]string)
			for _, f := range a.Files {
				want[f.Name] = string(f.Data)
			}
			var got []txtar.File
			for _, f := range a.Files {
				if strings.HasSuffix(f.Name, ".out") {
					continue
				}
				out := messages(f.Name, f.Data)
				got = append(got, f, txtar.File{Name: f.Name + ".out", Data: []byte(out)})
				if diff := cmp.Diff(want[f.Name+".out"], out); diff != "" && !*update {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
			if a.Files = got; *update {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func messages(name string, data []byte) string {
	_, warnings, err := topology.Parse(name, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	return b.String()
}

// TestEverything reads every key, written as YAML in two styles and as JSON.
func TestEverything(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	want := &routing.Model{
		Hosts: []routing.Host{
			{ID: "h1", Meta: &routing.Meta{Name: "Rack 1", Description: "the first host", Labels: []routing.Label{{Key: "rack", Value: "1"}}}, Tunnel: routing.Tunnel{Address: addr("192.0.2.1")}},
			{ID: "h2", Tunnel: routing.Tunnel{Type: routing.TunnelVXLAN, Address: addr("192.0.2.2")}},
		},
		Networks: []routing.Network{{ID: "blue", Meta: &routing.Meta{Name: "Blue", Description: "the first network",
			Labels: []routing.Label{{Key: "example.com/rack", Value: "7"}, {Key: "tier", Value: "web"}}}, VLAN: 1, MTU: 9000, IPv4Scope: "campus", IPv6Scope: "campus6", NoFastPath: true, VNI: 5001, Broadcast: routing.BroadcastDHCP}, {ID: "green", MTU: 1500, VNI: 7}, {ID: "7", MTU: 1500}},
		Routers: []routing.Router{{
			ID: "r1", Namespace: "ns1",
			Bridge: routing.Bridge{Managed: true, Name: "br-r1", DatapathID: 0xa1, Foreign: routing.ForeignReport},
			Interfaces: []routing.Interface{
				{ID: "r1-blue", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1, 1}, PatchPort: "p1", TapPort: "t1",
					Addresses: []netip.Prefix{prefix("10.0.1.1/24"), prefix("2001:db8::1/64")},
					RA: &routing.RA{Managed: true, Other: true, Interval: 30, MTU: 1400, Prefixes: []routing.RAPrefix{
						{Prefix: prefix("2001:db8:1::/64"), Valid: math.MaxUint32, Preferred: 60},
						{Prefix: prefix("2001:db8:2::/64"), OnLink: true, Autonomous: true, Valid: 86400, Preferred: 14400}}}},
				{ID: "r1-green", Network: "green", MAC: ofproto.MAC{2, 0, 0, 0, 2, 1}, Down: true,
					Addresses: []netip.Prefix{prefix("10.0.2.1/24"), prefix("2001:db8:0:2::1/64")},
					RA:        &routing.RA{Lifetime: 1800, Interval: 600}},
			},
			Routes: []routing.Route{
				{Destination: prefix("10.9.0.0/16"), NextHops: []routing.NextHop{{Address: addr("10.0.1.10"), Weight: 1}}},
				{Destination: prefix("10.10.0.0/16"), NextHops: []routing.NextHop{{Address: addr("10.0.1.11"), Weight: 2}, {Address: addr("10.0.2.11"), Weight: 1}}},
				{Destination: prefix("10.11.0.0/16"), NextHops: []routing.NextHop{{Address: addr("10.0.1.12"), Weight: 1}}},
				{Destination: prefix("10.12.0.0/16"), Type: routing.RouteBlackhole, NoFastPath: true},
				{Destination: prefix("2001:db8:9::/48"), Type: routing.RouteReject},
			},
		}, {
			ID: "r2", Fallback: routing.FallbackNone, ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50,
			Bridge: routing.Bridge{Name: "br-x"},
			Interfaces: []routing.Interface{
				{ID: "r2-7", Network: "7", MAC: ofproto.MAC{2, 0, 0, 0, 7, 1}, PatchPort: "p7", Addresses: []netip.Prefix{prefix("10.0.1.1/24")}},
			},
		}},
		Ports: []routing.Port{
			{ID: "vm1", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1, 0x10}, Down: true, Unbound: true, NoFastPath: true, Host: "h1",
				Addresses: []netip.Addr{addr("10.0.1.10"), addr("2001:db8::10")},
				Pairs: []routing.AddressPair{{Addresses: prefix("10.0.1.100/32"), MAC: ofproto.MAC{2, 0, 0, 0, 1, 0x64}},
					{Addresses: prefix("10.0.1.112/28")}, {Addresses: prefix("2001:db8::64/128")}}},
			{ID: "12", Network: "7", MAC: ofproto.MAC{0, 0x11, 0x22, 0x33, 0x44, 0x55}, Addresses: []netip.Addr{addr("10.0.1.10")}},
		},
	}
	for _, name := range []string{"everything.yaml", "flow.yaml", "everything.json"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			got, warnings, err := topology.Parse(name, data)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %v", err, warnings)
			}
			if diff := cmp.Diff(want, got, sameModel...); diff != "" {
				t.Errorf("model (-want +got):\n%s", diff)
			}
		})
	}
}
