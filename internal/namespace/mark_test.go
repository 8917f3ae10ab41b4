package namespace

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// Objects of an earlier version without instances become objects of the first instance that
// uses them. Later no other instance can take them.
func TestInstances(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	d.Instance = "one"
	if got, want := strings.Join(ensure(t, d), ", "), "marked namespace qrouter-r1 as owned by this instance, one, marked tap qr-a in qrouter-r1"; got != want {
		t.Errorf("changed %s\nwant    %s", got, want)
	}
	settled(t, d)
	if got := run(t, "ip", "-n", d.Name, "link", "show", "qr-a"); !strings.Contains(got, "alias ofdvr-interface@one=a") {
		t.Errorf("%s", got)
	}
	if got, err := List(); err != nil || !slices.Equal(got, []Namespace{{Name: "qrouter-r1", Router: "r1", Instance: "one"}}) {
		t.Errorf("List: %v, %v", got, err)
	}
	before := describe(t, d.Name)

	other := d
	other.Instance = "two"
	addTap(t, "qr-a") // a tap of the other instance's Open vSwitch
	for _, f := range []func() (Result, error){
		func() (Result, error) { return Ensure(t.Context(), other, new(Memory)) },
		func() (Result, error) { return Check(t.Context(), other) },
	} {
		r, err := f()
		var foreign *ForeignError
		if !errors.As(err, &foreign) || *foreign != (ForeignError{"qrouter-r1", "r1", "one", "two"}) || len(r.Changed) > 0 {
			t.Errorf("changed %q, %v", r.Changed, err)
		}
	}
	if adopted, err := Adopt("two", []string{"r1"}); err != nil || len(adopted) > 0 {
		t.Errorf("adopted %q, %v", adopted, err)
	}
	var kept *KeptError
	if err := Remove(d.Name, "two"); !errors.As(err, &kept) || !strings.Contains(err.Error(), `it belongs to router "r1" of another instance of ofdvr on this machine, one`) {
		t.Errorf("Remove: %v", err)
	}
	if got := describe(t, d.Name); got != before {
		t.Errorf("tap is\n%swas\n%s", got, before)
	}
	run(t, "ip", "link", "del", "qr-a")

	// A tap with another instance's mark in our namespace is not changed.
	run(t, "ip", "-n", d.Name, "link", "set", "qr-a", "alias", "ofdvr-interface@two=a")
	if r, err := Ensure(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "does not belong to ofdvr") || len(r.Changed) > 0 {
		t.Errorf("changed %q, %v", r.Changed, err)
	}
	if err := Remove(d.Name, "one"); !errors.As(err, &kept) || !strings.Contains(err.Error(), "links that do not belong to ofdvr: qr-a") {
		t.Errorf("Remove: %v", err)
	}
	run(t, "ip", "-n", d.Name, "link", "set", "qr-a", "alias", "ofdvr-interface@one=a")
	if err := Remove(d.Name, "one"); err != nil {
		t.Error(err)
	}
}

// Adopt adopts the namespaces of the given routers if their marks have no instance.
func TestAdopt(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	other := Desired{Name: "qrouter-r2", Router: "r2"}
	ensure(t, other)
	if adopted, err := Adopt("one", []string{"r0", "r1"}); err != nil || !slices.Equal(adopted, []string{"qrouter-r1"}) {
		t.Errorf("adopted %q, %v", adopted, err)
	}
	d.Instance = "one"
	settled(t, d)
	settled(t, other)
}

// A mark is parsed as it was written, with any characters in the ID.
func TestMarks(t *testing.T) {
	d := fresh(t)
	d.Taps[0].Interface = "a=b@c=d ü"
	d.Router, d.Instance = "r=1@x", "4b1c-7.8_9:0"
	addTap(t, "qr-a")
	ensure(t, d)
	settled(t, d)
	if got, err := List(); err != nil || !slices.Equal(got, []Namespace{{Name: d.Name, Router: d.Router, Instance: d.Instance}}) {
		t.Errorf("List: %v, %v", got, err)
	}
	if err := Remove(d.Name, d.Instance); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path(d.Name)); err == nil {
		t.Error("the namespace still exists")
	}
}
