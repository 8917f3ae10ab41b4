package api_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// Counters have for the interface r1-blue, of each role, as many packets as its
// number says, and ten times as many bytes.
func (f *fabric) Counters(context.Context) ([]controller.InterfaceCounters, error) {
	c := controller.InterfaceCounters{Router: "r1", Interface: "r1-blue", ByRole: make(map[routing.Role]controller.Tally)}
	for role := routing.Role(1); role < 64; role++ {
		c.ByRole[role] = controller.Tally{Packets: 1 << role, Bytes: 10 << role}
	}
	return []controller.InterfaceCounters{c}, nil
}

// What the switches counted is told by interface, and of each role once.
func TestCounters(t *testing.T) {
	s := serve(t, nil)
	before := time.Now()
	var got api.Counters
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/counters", "").text), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Interfaces) != 1 || got.Read.IsZero() || got.Read.Before(before.Truncate(0)) {
		t.Fatalf("%+v", got)
	}
	i := got.Interfaces[0]
	of := func(roles ...routing.Role) (sum uint64) {
		for _, r := range roles {
			sum += 1 << r
		}
		return sum
	}
	routed, in := of(routing.RoleDeliver, routing.RoleExtra), of(routing.RoleIn)
	want := api.InterfaceCounters{
		Router: "r1", Interface: "r1-blue", RoutedPackets: routed, RoutedBytes: 10 * routed, ReceivedPackets: in, ReceivedBytes: 10 * in,
		ARPReplies: of(routing.RoleARP), NDReplies: of(routing.RoleND), EchoReplies: of(routing.RoleEcho), TTLExpired: of(routing.RoleTTL), Limited: of(routing.RoleLimited),
	}
	fallback := i.Fallback
	i.Fallback = nil
	if i.Router != want.Router || i.Interface != want.Interface || i.RoutedPackets != want.RoutedPackets || i.RoutedBytes != want.RoutedBytes ||
		i.ReceivedPackets != want.ReceivedPackets || i.ReceivedBytes != want.ReceivedBytes || i.ARPReplies != want.ARPReplies || i.NDReplies != want.NDReplies ||
		i.EchoReplies != want.EchoReplies || i.TTLExpired != want.TTLExpired || i.Limited != want.Limited {
		t.Errorf("got %+v, want %+v", i, want)
	}
	var sum uint64
	for reason, roles := range api.FallbackReasons() {
		if fallback[reason] != of(roles...) {
			t.Errorf("%s: %d, want %d", reason, fallback[reason], of(roles...))
		}
		sum += fallback[reason]
	}
	if len(fallback) != len(api.FallbackReasons()) || sum != of(routing.RoleTTL, routing.RoleTooBig, routing.RoleException, routing.RoleKernel, routing.RoleNoRoute, routing.RoleUnknown, routing.RoleFallback) {
		t.Errorf("fallback: %v", fallback)
	}
}
