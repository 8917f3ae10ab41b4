package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
)

// Rates are differences over the time between; what is new, or counted anew, has
// none; the busiest comes first.
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
		"ports":      "r1 a vm1 5 8k\n",
	} {
		rows, header := rates(before, now, what)
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

func TestSI(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 9.87: "9.9", 10: "10", 999: "999", 999.7: "1k", 12345: "12.3k", 1e6: "1M", 2.5e9: "2.5G"} {
		if got := si(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
