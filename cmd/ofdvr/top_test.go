package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Rates are the differences between two readings divided by the time between them. An object
// without an earlier reading has no rate. The busiest object comes first, and idle ports come
// last.
func TestRates(t *testing.T) {
	before := api.Counters{
		At: 7,
		Interfaces: []api.InterfaceCounters{
			{Router: "r1", Interface: "a", RoutedPackets: 10, RoutedBytes: 1000, Fallback: map[string]uint64{"ttl": 1, "other": 2}},
			{Router: "r1", Interface: "b", ReceivedPackets: 100, ARPReplies: 4},
			{Router: "r2", Interface: "c", RoutedPackets: 50},
		},
		Ports: []api.PortCounters{{Router: "r1", Interface: "a", Port: "vm1", Packets: 5, Bytes: 500}},
	}
	now := api.Counters{
		At: 9,
		Interfaces: []api.InterfaceCounters{
			{Router: "r1", Interface: "a", RoutedPackets: 30, RoutedBytes: 3000, Fallback: map[string]uint64{"ttl": 3, "other": 4}},
			{Router: "r1", Interface: "b", ReceivedPackets: 3100, ARPReplies: 5, NDReplies: 2, EchoReplies: 3},
			{Router: "r2", Interface: "c", RoutedPackets: 20}, // another daemon
			{Router: "r2", Interface: "new", RoutedPackets: 20},
		},
		Ports: []api.PortCounters{{Router: "r1", Interface: "a", Port: "vm1", Packets: 15, Bytes: 2500}, {Router: "r1", Port: "new", Packets: 9}},
	}
	for what, want := range map[string]string{
		"interfaces": "r1 b 1.5k 0 0 0 3 0\nr1 a 0 0 10 8k 0 2\nr2 c 0 0 0 0 0 0\n",
		"routers":    "r1 1.5k 0 10 8k 3 2\nr2 0 0 0 0 0 0\n",
		"ports":      "r1 a vm1 5 8k\nr1 a idle 0 0\n",
	} {
		rows, header := rates(before, now, what, []rate{{router: "r1", iface: "a", port: "vm1"}, {router: "r1", iface: "a", port: "idle"}})
		sortRates(rows, "packets")
		got := ""
		for _, r := range rows {
			got += strings.Trim(fmt.Sprint(r.cells(header)), "[]") + "\n"
			if n := len(r.cells(header)); n != len(header) {
				t.Errorf("%s: %d cells under %v", what, n, header)
			}
		}
		if got != want {
			t.Errorf("%s:\n%swant\n%s", what, got, want)
		}
	}
}

// Packets between hosts are rates too, and only reasons with drops are shown.
func TestTopBetweenHosts(t *testing.T) {
	before := api.Counters{At: 1, Fabric: &api.FabricCounters{SentPackets: 10, Dropped: map[string]uint64{"unknown": 1, "flood": 5}}}
	now := api.Counters{At: 3, Fabric: &api.FabricCounters{SentPackets: 30, SentBytes: 2000, ReceivedPackets: 4, ReceivedBytes: 500, Dropped: map[string]uint64{"unknown": 5, "flood": 5}}}
	want := "between hosts: sent 10 packets/s, 8k bit/s; received 2 packets/s, 2k bit/s; dropped packets/s: 2 unknown"
	if got := between(before, now); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := between(api.Counters{At: 1}, now); got != "" {
		t.Errorf("without an earlier reading: %s", got)
	}
}

func TestSI(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 9.87: "9.9", 10: "10", 999: "999", 999.7: "1k", 12345: "12.3k", 1e6: "1M", 2.5e9: "2.5G"} {
		if got := si(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// counted returns readings of two seconds in which r1-green sends to vm2, and r1-blue hands packets
// to the kernel.
func counted() []counters.Snapshot {
	at := func(second int, sent, kernel uint64) counters.Snapshot {
		return counters.Snapshot{
			At: time.Duration(second) * time.Second,
			Routers: []counters.Router{{Router: "r1", Known: true, Interfaces: []counters.Object{
				{ID: "r1-blue", ByRole: counters.ByRole{compile.RoleTTL: {Packets: kernel}}},
				{ID: "r1-green", ByRole: counters.ByRole{compile.RoleDeliver: {Packets: sent, Bytes: 100 * sent}}},
			}}},
			Ports: []counters.Port{{Router: "r1", Interface: "r1-green", Port: "vm2", Tally: counters.Tally{Packets: sent, Bytes: 100 * sent}}},
		}
	}
	return []counters.Snapshot{at(1, 0, 0), at(2, 12_345, 7)}
}

// In a pipe, top prints right-aligned numbers, with idle ports last. With --busy it does not
// print idle ports.
func TestTopInAPipe(t *testing.T) {
	d := applied(t, nil)
	for args, want := range map[string]string{
		"top": `ROUTER  INTERFACE  IN PKT/S  IN BIT/S  OUT PKT/S  OUT BIT/S  REPLY/S  KERNEL/S
r1      r1-green          0         0      12.3k      9.88M        0         0
r1      r1-blue           0         0          0          0        0         7
`,
		"top router --sort name": "ROUTER  IN PKT/S  IN BIT/S  OUT PKT/S  OUT BIT/S  REPLY/S  KERNEL/S\nr1             0         0      12.3k      9.88M        0         7\n",
		"top interfaces --sort kernel": `ROUTER  INTERFACE  IN PKT/S  IN BIT/S  OUT PKT/S  OUT BIT/S  REPLY/S  KERNEL/S
r1      r1-blue           0         0          0          0        0         7
r1      r1-green          0         0      12.3k      9.88M        0         0
`,
		"top port":         "ROUTER  INTERFACE  PORT  PKT/S  BIT/S\nr1      r1-green   vm2   12.3k  9.88M\nr1      r1-blue    vm1       0      0\n",
		"top ports --busy": "ROUTER  INTERFACE  PORT  PKT/S  BIT/S\nr1      r1-green   vm2   12.3k  9.88M\n",
	} {
		d.mu.Lock()
		d.counts = counted()
		d.mu.Unlock()
		d.prints(want, append(strings.Fields(args), "-n", "1", "--interval", "1s")...)
	}
	d.fails(64, "ofdvr: --sort pakets: want packets, bits, replies, kernel or name; did you mean packets?\nUsage: ofdvr top [routers|interfaces|ports] [flags]\nSee 'ofdvr top --help'.\n", "top", "--sort", "pakets")
}

// If a table is wider than the terminal, names are shortened.
func TestTopFits(t *testing.T) {
	for width, want := range map[int]string{
		0:  "0123456789 ab 1",
		20: "012345… ab 1",
		5:  "01234… ab 1",
	} {
		lines := []table.Row{{"ROUTER", "PORT", "PKT/S"}, {"0123456789", "ab", "1"}}
		fit(lines, width)
		if got := strings.Trim(fmt.Sprint(lines[1]), "[]"); got != want {
			t.Errorf("%d columns: %s, want %s", width, got, want)
		}
	}
}

// On a terminal, keys select the order, the kind, idle rows, help, and the end.
func TestTopOnATerminal(t *testing.T) {
	d := applied(t, nil)
	d.counts = counted()
	client, err := (&clientFlags{endpoint: d.endpoint}).open(new(cobra.Command))
	if err != nil {
		t.Fatal(err)
	}
	screen, tty := terminal(t)
	keys, ended := make(chan byte), make(chan error, 1)
	v := topView{kind: "interfaces", order: "packets"}
	go func() {
		ended <- v.run(t.Context(), client, tty, keys, 10*time.Millisecond, 0)
		tty.Close() // ends the reading below
	}()
	var shown []byte
	shows := func(want string) {
		t.Helper()
		part := make([]byte, 4096)
		for !bytes.Contains(shown, []byte(want)) {
			n, err := screen.Read(part)
			if err != nil {
				t.Fatalf("%q is not in %q: %v", want, shown, err)
			}
			shown = append(shown, part[:n]...)
		}
		shown = nil
	}
	shows("\x1b[H\x1b[J2 interfaces by packets   q quit, ? help\r\n\r\nROUTER  INTERFACE ")
	keys <- 'k'
	shows("2 interfaces by kernel ")
	keys <- '3'
	shows("2 ports by kernel ")
	keys <- 'z'
	shows("by kernel, 2 idle hidden ")
	keys <- '?'
	shows("  q  quit          ?  close this help\r\n")
	keys <- 'q'
	for done := false; !done; { // read the output that was drawn before the key was handled
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			done = true
		default:
			screen.Read(make([]byte, 4096))
		}
	}
}

// Keys arrive one by one and are not shown. At the end the terminal's settings are restored.
func TestKeysAreNotEchoed(t *testing.T) {
	screen, tty := terminal(t)
	echoes := func() bool {
		settings, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return settings.Lflag&unix.ECHO != 0 && settings.Lflag&unix.ICANON != 0
	}
	if !echoes() {
		t.Fatal("the terminal does not echo before readKeys")
	}
	keys, restore := readKeys(tty, tty)
	if echoes() {
		t.Error("the terminal echoes keys")
	}
	if _, err := screen.WriteString("q?"); err != nil {
		t.Fatal(err)
	}
	if a, b := <-keys, <-keys; a != 'q' || b != '?' {
		t.Errorf("keys %q and %q", a, b)
	}
	restore()
	if !echoes() {
		t.Error("the settings were not restored")
	}
	if keys, _ := readKeys(strings.NewReader("q"), tty); keys != nil {
		t.Error("keys are read although the input is not a terminal")
	}
}
