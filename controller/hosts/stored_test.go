package hosts

import (
	"testing"
	"time"
)

// store makes b see a change of a's claims in the store that both share.
func store(b *Table, put map[string]Claim, gone ...string) {
	c := StoredChange{Host: "a", Put: put, Gone: gone}
	b.stored.Apply(c)
	b.StoreChanged(c)
}

// Claims in the store count as those in messages do, unless messages arrive that have newer claims.
func TestStoredClaims(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, deliver := pair(t, &now)
	b.Share(make(Stored))
	at := func(port, want string) {
		t.Helper()
		if got := b.Place(port, ""); got != want {
			t.Fatalf("%s is on %q, want %q", port, got, want)
		}
	}
	store(b, map[string]Claim{"p1": {Run: 9, Version: 5}})
	at("p1", "a") // no message has come
	store(b, nil, "p1")
	at("p1", "")

	a.SetOwn([]string{"p1", "p2"}, nil)
	b.SetOwn([]string{}, nil)
	a.Tick(now)
	deliver(nil)
	store(b, map[string]Claim{"p3": {Run: 9, Version: 7}}) // of an earlier daemon
	at("p3", "")
	store(b, a.Own())
	lost := func(message) bool { return true }
	a.SetOwn([]string{"p1", "p2", "p4"}, nil)
	deliver(lost)
	at("p4", "")
	store(b, map[string]Claim{"p4": a.Own()["p4"]})
	at("p4", "a") // although the message was lost
	store(b, nil, "p4")
	at("p4", "")
	late := a.Own()["p4"]
	a.SetOwn([]string{"p1", "p2"}, nil)
	now = now.Add(askAgain)
	a.Tick(now)
	deliver(nil)
	store(b, map[string]Claim{"p4": late}) // the store is late
	at("p4", "")
	store(b, nil, "p2") // the messages have the claim
	at("p2", "a")
	now = now.Add(Silence)
	b.Tick(now)
	at("p1", "a")
	at("p2", "") // now only the store has news
}

// The same rules decide between claims in messages and in the store. A restart keeps the turns that
// the store has.
func TestStoredTurns(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := New("b", "test", 2)
	b.Share(Stored{"b": {"p1": {Turn: 3, Run: 1, Version: 4}, "p2": {Turn: 1, Run: 1, Version: 4}}, "a": {"p1": {Turn: 2, Run: 8, Version: 1}}})
	b.SetPeers([]string{"a"}, now)
	b.SetOwn([]string{"p1", "p2"}, nil)
	if own := b.Own(); b.Place("p1", "") != "b" || own["p1"] != (Claim{3, 2, 1}) || own["p2"].Turn != 1 {
		t.Fatalf("p1 is on %s; own claims %v", b.Place("p1", ""), own)
	}
	store(b, map[string]Claim{"p1": {Turn: 4, Run: 8, Version: 2}})
	if b.Place("p1", "") != "b" || b.Why("p1", "") != OthersQuiet || b.Turns()["p1"] != 3 {
		t.Fatalf("p1 is on %s; turns %v", b.Place("p1", ""), b.Turns())
	}
	if _, _, err := b.Received("a", New("a", "test", 8).hello().frame(), now); err != nil {
		t.Fatal(err)
	}
	if b.Place("p1", "") != "a" || b.Why("p1", "") != LastPlugged {
		t.Fatalf("p1 is on %s although host a is heard", b.Place("p1", ""))
	}

	c := New("b", "test", 3) // reads the store after the machines
	c.Share(make(Stored))
	c.SetPeers([]string{"a"}, now)
	c.SetOwn([]string{"p1"}, nil)
	for _, s := range c.stored.Replacement(b.stored) {
		c.stored.Apply(s)
		c.StoreChanged(s)
	}
	if c.Own()["p1"] != (Claim{3, 3, 2}) || c.Place("p1", "") != "b" {
		t.Fatalf("own claims %v; p1 is on %s", c.Own(), c.Place("p1", ""))
	}
}
