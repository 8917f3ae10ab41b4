package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A sound store has no problems, and the report counts its objects.
func TestCheck(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, 7, routing.Change{Put: site(50)})
	s.Close()
	for _, path := range []string{s.Path(), filepath.Dir(s.Path())} {
		r, err := store.Check(path)
		if err != nil || len(r.Problems) > 0 || r.Path != s.Path() || r.Size == 0 || r.Version != store.SchemaVersion ||
			r.Revision != 7 || !r.Complete || r.Networks != 2 || r.Routers != 2 || r.Ports != 50 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if _, err := store.Check(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check without a file: %v", err)
	}
}

// Validation errors are reported with the object's ID.
func TestCheckInvalid(t *testing.T) {
	s := open(t, t.TempDir())
	m := site(3)
	m.Networks[1].VLAN = m.Networks[0].VLAN
	m.Routers[0].Interfaces[0].MAC = ofproto.MAC{1}
	m.Ports[1].Network = "red"
	commit(t, s, 1, routing.Change{Put: m})
	s.Close()
	r, err := store.Check(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`network "green"`, `router "r1"`, `port "` + m.Ports[1].ID + `"`}
	if len(r.Problems) != len(want) {
		t.Fatalf("problems %v, want %q", r.Problems, want)
	}
	for i, w := range want {
		if !strings.Contains(r.Problems[i].Error(), w) {
			t.Errorf("problem %v, want %s", r.Problems[i], w)
		}
	}
	if !errors.Is(r.Problems[2], routing.ErrUnknownNetwork) {
		t.Error(r.Problems[2])
	}
}

// All damaged objects are reported, and the others are counted.
func TestCheckDamaged(t *testing.T) {
	s := open(t, t.TempDir())
	m := site(5)
	commit(t, s, 1, routing.Change{Put: m})
	s.Close()
	b := read(t, s.Path())
	for _, p := range m.Ports[:2] {
		// Free pages may contain the ID too; damage there does not matter.
		at := 0
		for {
			i := strings.Index(string(b[at:]), `"id":"`+p.ID)
			if i < 0 {
				break
			}
			b[at+i+1]++
			at += i + 1
		}
	}
	if err := os.WriteFile(s.Path(), b, 0); err != nil {
		t.Fatal(err)
	}
	r, err := store.Check(s.Path())
	if err != nil || r.Ports != 3 || len(r.Problems) != 3 { // want two problems of damaged ports and one of the wrong count
		t.Fatalf("%+v, %v", r, err)
	}
	for _, p := range r.Problems {
		if !errors.Is(p, store.ErrCorrupt) {
			t.Error(p)
		}
	}
	for _, p := range m.Ports[:2] {
		if text := errors.Join(r.Problems...).Error(); !strings.Contains(text, p.ID) {
			t.Errorf("problem %s does not name port %s", text, p.ID)
		}
	}
}
