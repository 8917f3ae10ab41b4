package hosts

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fleet connects Tables. Frames wait in a queue, from which they are delivered, lost or doubled, in
// any order.
type fleet struct {
	t     *rapid.T
	now   time.Time
	hosts map[string]*Table
	plug  map[string]map[string]int    // by host and port: the time at which the machine was plugged in
	kept  map[string]map[string]uint64 // by host and port: what its database keeps
	turn  int
	queue []flying
}

type flying struct {
	from, to string
	data     []byte
}

func newFleet(t *rapid.T, n int) *fleet {
	f := &fleet{t: t, now: time.Unix(1e9, 0), hosts: make(map[string]*Table), plug: make(map[string]map[string]int), kept: make(map[string]map[string]uint64)}
	for i := range n {
		f.restart(fmt.Sprint("h", i))
	}
	return f
}

func (f *fleet) restart(id string) {
	f.turn++
	places := make(map[string]string) // as the flows of the last daemon have them
	if old := f.hosts[id]; old != nil {
		for _, p := range []string{"p0", "p1", "p2"} {
			places[p] = old.Place(p, "h1")
		}
	}
	f.hosts[id] = New(id, "test", uint64(f.turn)*7919%1000)
	for p := range f.plug[id] {
		f.plug[id][p] = 0
	}
	if f.plug[id] == nil {
		f.plug[id] = make(map[string]int)
	}
	f.hosts[id].SetPeers(f.others(id), f.now)
	f.hosts[id].Recall(places)
	for p, at := range places {
		if got := f.hosts[id].Place(p, "h1"); got != at {
			f.t.Fatalf("%s says after its restart that %s is on %s, and said %s before", id, p, got, at)
		}
	}
	f.hosts[id].SetOwn(slices.Sorted(maps.Keys(f.plug[id])), f.kept[id])
	f.sent(id)
}

func (f *fleet) others(id string) (out []string) {
	for i := range 4 {
		if o := fmt.Sprint("h", i); o != id {
			out = append(out, o)
		}
	}
	return out
}

func (f *fleet) own(id string) {
	f.hosts[id].SetOwn(slices.Sorted(maps.Keys(f.plug[id])), f.kept[id])
	f.sent(id)
}

// sent queues the messages that are due on a host.
func (f *fleet) sent(id string) {
	f.kept[id] = f.hosts[id].Turns()
	for _, fr := range f.hosts[id].Take(f.now) {
		if len(fr.Data) > 1400 {
			f.t.Fatalf("a message has %d bytes", len(fr.Data))
		}
		for _, to := range fr.To {
			f.queue = append(f.queue, flying{id, to, fr.Data})
		}
	}
	if f.hosts[id].Pending() {
		f.t.Fatal("a message was not taken")
	}
}

func (f *fleet) deliver(i int) {
	fr := f.queue[i]
	f.queue = slices.Delete(f.queue, i, i+1)
	if to := f.hosts[fr.to]; to != nil {
		if _, _, err := to.Received(fr.from, fr.data, f.now); err != nil {
			f.t.Fatal(err)
		}
		f.sent(fr.to)
	}
}

func (f *fleet) tick(d time.Duration) {
	f.now = f.now.Add(d)
	for _, id := range slices.Sorted(maps.Keys(f.hosts)) {
		f.hosts[id].Tick(f.now)
		f.sent(id)
	}
}

// Messages are lost, doubled and delayed. Once messages pass again, all hosts agree about the
// place of each machine. If a machine is plugged in, its place is a host where it is plugged
// in.
func TestHostsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, 4)
		host := rapid.SampledFrom([]string{"h0", "h1", "h2", "h3"})
		port := rapid.SampledFrom([]string{"p0", "p1", "p2", "a-port-with-a-long-name-a-port-with-a-long-name-a-port-with-a-lo"})
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				h, p := host.Draw(t, "host"), port.Draw(t, "port")
				f.plug[h][p] = 1
				f.own(h)
			case 1:
				h := host.Draw(t, "host")
				delete(f.plug[h], port.Draw(t, "port"))
				f.own(h)
			case 2:
				f.restart(host.Draw(t, "host"))
			case 3:
				f.tick(rapid.SampledFrom([]time.Duration{time.Second, Interval, Silence}).Draw(t, "time"))
			default:
				if len(f.queue) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(f.queue)-1).Draw(t, "frame")
				switch rapid.IntRange(0, 3).Draw(t, "fate") {
				case 0:
					f.queue = slices.Delete(f.queue, i, i+1)
				case 1:
					f.queue = append(f.queue, f.queue[i])
				default:
					f.deliver(i)
				}
			}
		}
		for range 4 { // messages pass: hellos, and the requests for claims that they cause
			f.tick(Interval)
			for len(f.queue) > 0 {
				f.deliver(0)
			}
		}
		for _, p := range []string{"p0", "p1", "p2"} {
			plugged := []string{"h1"} // the intent names it
			for _, h := range []string{"h0", "h1", "h2", "h3"} {
				if _, there := f.plug[h][p]; there {
					plugged = append(plugged, h)
				}
			}
			if len(plugged) > 1 {
				plugged = plugged[1:]
			}
			place := f.hosts["h0"].Place(p, "h1")
			if !slices.Contains(plugged, place) {
				t.Fatalf("%s is on %s, want one of %v", p, place, plugged)
			}
			for id, table := range f.hosts {
				if got := table.Place(p, "h1"); got != place {
					t.Fatalf("%s says that %s is on %s, another says %s; plugged: %v", id, p, got, place, f.plug)
				}
			}
		}
	})
}

// As long as hosts receive each other's messages, they find a machine on the host where it was
// plugged in last, also after restarts of their daemons.
func TestLastPluggedWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, 4)
		calm := func() {
			f.tick(Interval)
			for len(f.queue) > 0 {
				f.deliver(0)
			}
		}
		calm()
		calm()
		last := ""
		for range rapid.IntRange(1, 8).Draw(t, "moves") {
			h := rapid.SampledFrom([]string{"h0", "h1", "h2", "h3"}).Draw(t, "host")
			if _, there := f.plug[h]["p"]; there {
				continue
			}
			f.plug[h]["p"], last = 1, h
			f.own(h)
			calm()
			for _, h := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"h0", "h1", "h2", "h3"}), 0, 2, rapid.ID).Draw(t, "restarts") {
				f.restart(h)
				calm()
			}
		}
		for id, table := range f.hosts {
			if got := table.Place("p", "h1"); got != last {
				t.Fatalf("%s says %s, want %s", id, got, last)
			}
			if len(table.Reporters("p", "h1")) > 1 && table.Why("p", "h1") != LastPlugged {
				t.Fatalf("%s gives reason %d", id, table.Why("p", "h1"))
			}
		}
	})
}

// A silent host keeps its machines, unless another host claims them.
func TestSilenceMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t, 4)
		f.plug["h2"]["p"] = 1
		f.own("h2")
		f.tick(Interval)
		for len(f.queue) > 0 {
			f.deliver(0)
		}
		delete(f.hosts, "h2") // its daemon died
		for range 5 {
			f.tick(Silence)
			for len(f.queue) > 0 {
				f.deliver(0)
			}
		}
		if got := f.hosts["h0"].Place("p", "h1"); got != "h2" {
			t.Fatalf("after silence the machine is on %s", got)
		}
		f.plug["h3"]["p"] = 0 // a daemon that started later finds the machine there
		f.own("h3")
		for len(f.queue) > 0 {
			f.deliver(0)
		}
		for _, id := range []string{"h0", "h1", "h3"} {
			if got := f.hosts[id].Place("p", "h1"); got != "h3" {
				t.Fatalf("%s says that the machine is on %s", id, got)
			}
		}
	})
}

// Frames of other programs, and of hosts that are not in the intent, are ignored.
func TestForeignFrames(t *testing.T) {
	table := New("h1", "test", 1)
	table.SetPeers([]string{"h2"}, time.Unix(1, 0))
	hello := New("h3", "test", 1).hello().frame()
	for name, frame := range map[string][]byte{"empty": nil, "short": {1, 2, 3}, "other type": make([]byte, 60), "no JSON": append(header[:], "{"...), "another host's": hello,
		"too many parts": message{Host: "h2", Part: maxParts + 1}.frame()} {
		if _, _, err := table.Received("h2", frame, time.Unix(2, 0)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := table.Received("h3", hello, time.Unix(2, 0)); err == nil {
		t.Error("a host that is not in the intent: no error")
	}
}

// After a change of the intent, a host sends a hello soon. Until then other hosts assume that
// its intent differs from theirs.
func TestHelloAfterNewIntent(t *testing.T) {
	now := time.Unix(1e9, 0)
	table := New("h1", "test", 1)
	table.SetPeers([]string{"h2"}, now)
	table.SetIntent("a")
	table.Tick(now)
	table.Take(now)
	for _, c := range []struct {
		digest string
		greet  bool
		sent   int
	}{{"a", false, 0}, {"b", false, 1}, {"b", false, 0}, {"b", true, 1}} {
		table.SetIntent(c.digest)
		if c.greet {
			table.Greet()
		}
		now = now.Add(time.Second)
		table.Tick(now)
		send := table.Take(now)
		if len(send) != c.sent {
			t.Fatalf("%d messages after intent %s, want %d", len(send), c.digest, c.sent)
		}
		for _, f := range send {
			if m, err := parse(f.Data); err != nil || m.Intent != c.digest {
				t.Errorf("the message is %+v, %v", m, err)
			}
		}
	}
}

// A recalled place counts until the host there has reported its machines. A host that does not know
// its own machines yet reports none.
func TestRecall(t *testing.T) {
	now := time.Unix(1e9, 0)
	h1, h2 := New("h1", "test", 1), New("h2", "test", 2)
	h1.SetPeers([]string{"h2", "h3"}, now)
	h2.SetPeers([]string{"h1", "h3"}, now)
	places := func(table *Table, want map[string]string) {
		t.Helper()
		for port, host := range want {
			if got := table.Place(port, "h9"); got != host {
				t.Errorf("%s is on %s, want %s", port, got, host)
			}
		}
	}
	if changed := h1.Recall(map[string]string{"a": "h1", "b": "h2", "c": "h2", "d": "h3", "e": "h4"}); len(changed) != 4 {
		t.Errorf("changed: %v", changed)
	}
	places(h1, map[string]string{"a": "h1", "b": "h2", "c": "h2", "d": "h3", "e": "h9"})
	exchange := func() (changed []string) { // all messages between h1 and h2
		t.Helper()
		for h1.Pending() || h2.Pending() {
			for from, to := range map[*Table]*Table{h1: h2, h2: h1} {
				for _, f := range from.Take(now) {
					if slices.Contains(f.To, to.self) {
						c, _, err := to.Received(from.self, f.Data, now)
						if err != nil {
							t.Fatal(err)
						}
						if to == h1 {
							changed = append(changed, c...)
						}
					}
				}
			}
		}
		return changed
	}
	if !h1.Here("a") || h1.Here("b") || h1.Here("f") {
		t.Error("only the machine of a is here")
	}
	exchange() // h2 does not know its machines yet
	places(h1, map[string]string{"b": "h2", "c": "h2"})
	if changed := h1.SetOwn([]string{"f"}, nil); !slices.Contains(changed, "a") || !slices.Contains(changed, "f") {
		t.Errorf("changed: %v", changed)
	}
	places(h1, map[string]string{"a": "h9", "f": "h1"})
	if h1.Here("a") || !h1.Here("f") {
		t.Error("only the machine of f is here")
	}
	h2.SetOwn([]string{"b"}, nil)
	if changed := exchange(); !slices.Contains(changed, "c") {
		t.Errorf("changed: %v", changed)
	}
	places(h1, map[string]string{"b": "h2", "c": "h9", "d": "h3"})
	if changed := h1.SetPeers([]string{"h2"}, now); !slices.Contains(changed, "d") {
		t.Errorf("changed: %v", changed)
	}
	places(h1, map[string]string{"d": "h9"})
}

// A host is silent if it has not been heard for long enough, since it was added and since messages are
// received.
func TestSilent(t *testing.T) {
	start := time.Unix(1e9, 0)
	table := New("h1", "test", 1)
	table.SetPeers([]string{"h2"}, start)
	silent := func(after time.Duration, want bool) {
		t.Helper()
		now := start.Add(after)
		table.Tick(now)
		if s := table.States(now)[0]; s.Silent != want {
			t.Errorf("after %v: silent %v, want %v", after, s.Silent, want)
		}
	}
	silent(time.Hour, false) // the daemon stands by
	table.Expect(start.Add(time.Hour))
	silent(time.Hour+Silence, false)
	silent(time.Hour+Silence+1, true)
	if _, _, err := table.Received("h2", New("h2", "test", 2).hello().frame(), start.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	silent(2*time.Hour, false)
	silent(3*time.Hour, true)
	table.SetPeers([]string{"h3"}, start.Add(3*time.Hour))
	silent(3*time.Hour+Silence, false)
	silent(3*time.Hour+Silence+1, true)
}
