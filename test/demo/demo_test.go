package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// require skips the test if the demonstration cannot run here. With CI=true it fails the test
// instead.
func require(t *testing.T) {
	t.Helper()
	lab.Require(t)
	lab.Needs(t, "traceroute")
}

func TestDemo(t *testing.T) {
	require(t)
	checkDemo(t, show,
		"\n1. ", "100% packet loss",
		"\n2. ", "topology.yaml: ok: 2 networks, 1 router, 2 ports",
		"\n3. ", "settled  yes", "qr-r1-green",
		"\n4. ", " ttl=63 ", "have not changed",
		"\n5. ", "n_packets=5", "dec_ttl",
		"\n6. ", " 1  10.0.1.1 ", " 2  10.0.2.10 ",
		"\n7. ", `ofdvr_interface_ttl_expired_packets_total{interface="r1-blue",router="r1"} 1`,
		"\n8. ", "20 received, 0% packet loss",
		"\n9. ", "as they were",
		"\nWhat next\n",
	)
}

func TestDemoOfHosts(t *testing.T) {
	require(t)
	checkDemo(t, showHosts,
		"\n1. ", "iface-id", "100% packet loss",
		"\n2. ", "topology.yaml: ok: 3 hosts, 2 networks, 1 router, 3 ports",
		"\n3. ", " alive ", "ft-geneve",
		"\n4. ", " ttl=64 ", " ttl=63 ", "that of h2 none",
		"\n5. ", "h3",
		"\n6. ", "its new host",
		"\n7. ", "20 received, 0% packet loss", "does not pass packets",
		"\n8. ", "removed Bridge br-fabric", "are gone",
		"\nWhat next\n",
	)
}

// checkDemo fails the test unless show prints the texts, in this order.
func checkDemo(t *testing.T, show func(context.Context, *screen, string) error, texts ...string) {
	t.Helper()
	var b strings.Builder
	dir := filepath.Join(t.TempDir(), "demo")
	if err := show(t.Context(), &screen{w: &b}, dir); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	out := b.String()
	t.Logf("%s", out)
	at := 0
	for _, want := range texts {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing or out of order in\n%s", want, out)
		}
		at += i + len(want)
	}
	for _, bad := range []string{"\x1b", "\r", "… ", dir} {
		if strings.Contains(out, bad) {
			t.Errorf("%q may only appear on a terminal:\n%s", bad, out)
		}
	}
}

func TestDemoStopsOnSignal(t *testing.T) {
	require(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The first ping takes half a second.
	w := &trigger{word: "ping", do: cancel}
	err := show(ctx, &screen{w: w}, filepath.Join(t.TempDir(), "demo"))
	if err == nil || strings.Contains(w.String(), "\n2. ") {
		t.Errorf("the demo did not stop: %v\n%s", err, w.String())
	}
}

// A trigger calls do when word is written.
type trigger struct {
	strings.Builder
	word string
	do   func()
}

func (t *trigger) Write(b []byte) (int, error) {
	if strings.Contains(string(b), t.word) {
		t.do()
	}
	return t.Builder.Write(b)
}

func TestScreenOnTerminal(t *testing.T) {
	var b strings.Builder
	s := &screen{w: &b, tty: true, colour: true}
	s.title("a title")
	s.wait("working")
	s.proved("it is %d", 1)
	const want = "\n\x1b[1m1. a title\x1b[0m\n" + "  … working" + "\r\x1b[K" + "  \x1b[32m✓\x1b[0m it is 1\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// dump has three flows. One has answered ARP, one has sent a packet to the kernel, and one is
// foreign.
const dump = `NXST_FLOW reply:
 cookie=0xfd01c38f4cd4dbcd, duration=1.5s, table=0, n_packets=2, n_bytes=84, priority=400,arp,in_port="p",vlan_tci=0x0000/0x1fff,arp_op=1 actions=move:NXM_NX_ARP_SHA[]->NXM_OF_ETH_DST[],set_field:2->arp_op,goto_table:4
 cookie=0xfd0ac38f4cd4dbcd, duration=1.5s, table=2, n_packets=1, n_bytes=42, priority=1,in_port="p" actions=output:"t"
 cookie=0x0, duration=1.5s, table=2, n_packets=0, n_bytes=0, priority=1 actions=drop
`

func TestFlows(t *testing.T) {
	flows := parseFlows(dump)
	if len(flows) != 3 || flows[0].role != compile.RoleARP || flows[1].role != compile.RoleUnknown || flows[2].role != 0 {
		t.Fatalf("got %+v", flows)
	}
	if n := packets(flows, compile.RoleARP, "arp_op=1"); n != 2 {
		t.Errorf("%d packets, want 2", n)
	}
	const want = `table=0, n_packets=2, priority=400,arp,in_port="p",arp_op=1` + "\n      actions=move:…,set_field:…,goto_table:4"
	if got := flows[0].shorten(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if checkFlows(flows) == nil {
		t.Error("flows that delivered nothing pass")
	}
}
