package routing_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/routing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestNamesGolden checks the names derived from IDs. A change of an existing line makes ofdvr
// lose the bridges and taps of running systems.
func TestNamesGolden(t *testing.T) {
	ids := []string{"r1", "a-b_c.d", "eleven-char", "twelve-chars", "router one", "ü", "100%", "a/b", "..",
		"3fa85f64-5717-4562-b3fc-2c963f66afa6", "3FA85F64-5717-4562-B3FC-2C963F66AFA6",
		"3fa85f64x5717x4562xb3fcx2c963f66afa6", strings.Repeat("x", 64)}
	var b strings.Builder
	for _, id := range ids {
		r := routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}}
		f := routing.Interface{ID: id}
		n := routing.Network{ID: id}
		fmt.Fprintf(&b, "%q: bridge %s, datapath %v, tap %s, patch %s, peer %s, namespace %s, router's fabric ports %s %s, network's fabric ports %s %s\n",
			id, r.BridgeName(), r.DPID(), f.TapName(), f.PatchName(), f.PeerName(), r.NamespaceName(), r.FabricPort(), r.FabricPeer(), n.FabricPort(), n.FabricPeer())
	}
	const file = "testdata/names.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExplicitNames(t *testing.T) {
	r := routing.Router{ID: "r1", Namespace: "ns", Bridge: routing.Bridge{Managed: true, Name: "br", DatapathID: 7}}
	f := routing.Interface{ID: "i1", PatchPort: "p", TapPort: "t"}
	got := fmt.Sprint(r.NamespaceName(), r.BridgeName(), r.DPID(), f.PatchName(), f.TapName(), f.PeerName())
	if want := "nsbr0000000000000007ptpi-i1"; strings.ReplaceAll(got, " ", "") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	external := routing.Router{ID: "r1"}
	if external.BridgeName() != "" || external.DPID() != 0 {
		t.Errorf("external bridge: derived %q, %v", external.BridgeName(), external.DPID())
	}
}

// Names derived from a valid ID are valid, and two IDs never give the same namespace.
func TestNamesLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t, "id")
		m := validModel()
		m.Routers[0].ID, m.Routers[0].Interfaces[0].ID = id, id
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		r := m.Routers[0]
		if ns := r.NamespaceName(); len(ns) > 255 || strings.ContainsAny(ns, "/ \x00") {
			t.Errorf("namespace %q", ns)
		}
		other := routing.Router{ID: drawID(t, "other")}
		if id != other.ID && r.NamespaceName() == other.NamespaceName() {
			t.Errorf("%q and %q share namespace %q", id, other.ID, r.NamespaceName())
		}
	})
}

func drawID(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.OneOf(
		rapid.RuneFrom([]rune("ab%/:2F. -")),
		rapid.Rune().Filter(func(r rune) bool {
			return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !strings.ContainsRune("\ufffd\u115f\u1160\u2800\u3164\uffa0", r)
		}),
	), 1, 64, 64).Filter(func(id string) bool { return strings.TrimSpace(id) != "" }).Draw(t, label)
}
