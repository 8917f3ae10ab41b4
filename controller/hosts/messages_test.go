package hosts

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// pair returns two Tables that know each other, and a function that delivers the messages that are
// due. It returns the messages of the first one. The parameter lose selects those that are lost.
func pair(t *testing.T, now *time.Time) (a, b *Table, deliver func(lose func(message) bool) []message) {
	a, b = New("a", "test", 1), New("b", "test", 2)
	a.SetPeers([]string{"b"}, *now)
	b.SetPeers([]string{"a"}, *now)
	a.Expect(*now)
	b.Expect(*now)
	return a, b, func(lose func(message) bool) (sent []message) {
		t.Helper()
		for a.Pending() || b.Pending() {
			for _, from := range []*Table{a, b} {
				to := map[*Table]*Table{a: b, b: a}[from]
				for _, f := range from.Take(*now) {
					m, err := parse(f.Data)
					if err != nil {
						t.Fatal(err)
					}
					if from == a {
						sent = append(sent, m)
					}
					if lose != nil && lose(m) {
						continue
					}
					if _, _, err := to.Received(from.self, f.Data, *now); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		return sent
	}
}

// A host sends the differences of its claims. If one is lost, the next message shows it, at most a
// second later, and the other host asks at once.
func TestLostDifference(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, deliver := pair(t, &now)
	a.SetOwn([]string{"p1", "p2"}, nil)
	b.SetOwn([]string{}, nil)
	a.Tick(now)
	b.Tick(now)
	deliver(nil)
	at := func(want ...string) {
		t.Helper()
		for _, p := range []string{"p1", "p2", "p3", "p4"} {
			host := ""
			if slices.Contains(want, p) {
				host = "a"
			}
			if got := b.Place(p, ""); got != host {
				t.Fatalf("%s is on %q, want %q", p, got, host)
			}
		}
	}
	at("p1", "p2")
	now = now.Add(time.Second)
	a.SetOwn([]string{"p2", "p3"}, nil)
	sent := deliver(nil)
	if len(sent) != 1 || len(sent[0].Put) != 1 || !slices.Equal(sent[0].Gone, []string{"p1"}) {
		t.Fatalf("the messages of a difference are %+v", sent)
	}
	at("p2", "p3")

	all := func(message) bool { return true }
	a.SetOwn([]string{"p2", "p3", "p4"}, nil)
	deliver(all) // lost
	now = now.Add(time.Second)
	a.Tick(now)
	b.Tick(now)
	deliver(nil)
	at("p2", "p3", "p4")

	a.SetOwn([]string{"p3", "p4"}, nil)
	deliver(all) // lost
	now = now.Add(time.Second)
	a.SetOwn([]string{"p3"}, nil) // the next difference shows it
	deliver(nil)
	at("p3")

	// The answer to a request is lost too: it is asked for again.
	a.SetOwn([]string{"p1"}, nil)
	deliver(all)
	now = now.Add(time.Second)
	a.Tick(now)
	deliver(func(m message) bool { return m.Part > 0 })
	at("p3")
	now = now.Add(askAgain)
	b.Tick(now)
	deliver(nil)
	at("p1")
}

// Changes of many machines are divided into messages that fit through any tunnel.
func TestLargeDifference(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, deliver := pair(t, &now)
	var ports []string
	for i := range 500 {
		ports = append(ports, fmt.Sprintf("a-port-with-a-long-name-a-port-with-a-long-name-%03d", i))
	}
	a.SetOwn([]string{}, nil)
	deliver(nil)
	for n, own := range [][]string{ports, {}, ports[:250], ports[250:]} {
		a.SetOwn(own, nil)
		for _, f := range a.Take(now) {
			if len(f.Data) > 1400 {
				t.Errorf("a message has %d bytes", len(f.Data))
			}
			if _, _, err := b.Received("a", f.Data, now); err != nil {
				t.Fatal(err)
			}
		}
		b.Take(now)
		for i, p := range ports {
			if got := b.Place(p, "") == "a"; got != slices.Contains(own, p) {
				t.Fatalf("step %d: port %d is on the other host: %v", n, i, got)
			}
		}
	}
}

// Among 1,000 hosts with 100 machines each, a host encodes each message once for all hosts, and what
// waits to be sent is bounded.
func TestThousandHosts(t *testing.T) {
	now := time.Unix(1e9, 0)
	var peers, ports []string
	for i := range 999 {
		peers = append(peers, fmt.Sprintf("host-%03d", i))
	}
	for i := range 100 {
		ports = append(ports, fmt.Sprintf("4e0ad07c-3d0c-4f1c-9d64-%012d", i))
	}
	table := New("self", "test", 1)
	table.SetPeers(peers, now)
	table.SetOwn(ports[:99], nil)
	parts := len(table.all())
	expect := func(what string, frames, recipients int) {
		t.Helper()
		got := 0
		all := table.Take(now)
		for _, f := range all {
			got += len(f.To)
		}
		if len(all) > frames || got > recipients {
			t.Errorf("%s: %d messages are encoded and %d sent, want at most %d and %d", what, len(all), got, frames, recipients)
		}
	}
	expect("the start", parts+1, 999*(parts+1))
	table.SetOwn(ports, nil)
	expect("a machine more", 1, 999)
	ask := func() {
		for i, id := range peers {
			if _, _, err := table.Received(id, message{Host: id, Run: uint64(i), Want: true}.frame(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 100 {
		ask()
	}
	expect("all hosts ask a hundred times", parts, 999*parts)
	for range 10 * maxDifferences {
		table.SetOwn(ports[1:], nil)
		table.SetOwn(ports, nil)
	}
	expect("many changes while no message can be sent", parts+maxDifferences, 999*(parts+maxDifferences))
	for range 100 {
		for i, id := range peers {
			if _, _, err := table.Received(id, message{Host: id, Run: uint64(i), Probe: 1}.frame(), now); err != nil {
				t.Fatal(err)
			}
			table.Probe(id, 1, 1400)
		}
	}
	expect("probes", 999*(maxEchoes+maxProbes), 999*(maxEchoes+maxProbes))
}

// If messages pass in one direction only, both hosts know it.
func TestOneWay(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, deliver := pair(t, &now)
	for range 5 {
		now = now.Add(Interval)
		a.Tick(now)
		b.Tick(now)
		deliver(func(m message) bool { return m.Host == "a" })
	}
	if s := b.States(now)[0]; !s.Silent || s.Deaf {
		t.Errorf("the host that receives nothing says %+v", s)
	}
	if s := a.States(now)[0]; !s.Deaf || !s.Alive {
		t.Errorf("the host whose messages are lost says %+v", s)
	}
	for range 2 {
		now = now.Add(Interval)
		a.Tick(now)
		b.Tick(now)
		deliver(nil)
	}
	for _, table := range []*Table{a, b} {
		if s := table.States(now)[0]; s.Deaf || !s.Alive {
			t.Errorf("after the repair, host %s says %+v", table.self, s)
		}
	}
}

// A host that has a machine which another one claims too says why it wins.
func TestWhy(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, deliver := pair(t, &now)
	a.SetOwn([]string{"p", "q"}, nil)
	b.SetOwn([]string{"p"}, nil)
	deliver(nil)
	for _, c := range []struct {
		port, intended, wins string
		why                  Reason
	}{{"p", "", "a", LowestID}, {"p", "b", "b", Intended}, {"q", "b", "a", OnlyClaim}} {
		if got, why := a.Place(c.port, c.intended), a.Why(c.port, c.intended); got != c.wins || why != c.why {
			t.Errorf("%s, of %q: %s has it, for reason %d", c.port, c.intended, got, why)
		}
	}
	b.SetOwn([]string{"p", "q"}, nil)
	deliver(nil)
	if at, why := a.Place("q", "a"), a.Why("q", "a"); at != "b" || why != LastPlugged {
		t.Errorf("q: %s has it, for reason %d", at, why)
	}
	if got := b.Turns(); len(got) != 1 || got["q"] != 1 {
		t.Errorf("the turns to keep are %v", got)
	}
	now = now.Add(Silence)
	a.Tick(now)
	if at, why := a.Place("q", "a"), a.Why("q", "a"); at != "a" || why != OthersQuiet {
		t.Errorf("q: %s has it, for reason %d", at, why)
	}
}
