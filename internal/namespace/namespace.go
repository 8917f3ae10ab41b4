package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Desired is a router's namespace as it should be.
type Desired struct {
	Name   string // such as qrouter-r1
	Router string // the router's ID
	// Instance tells this ofdvr from others on the same machine. "" is that of versions that
	// did not tell; its marks are taken over by any.
	Instance string
	Kind     string // of links that ovs-vswitchd makes, see [Kind]; "": not known
	Taps     []Tap
	Routes   []Route
}

// Kind returns the kind of links that ovs-vswitchd makes of ports of type internal in bridges
// of a datapath_type.
func Kind(datapathType string) string {
	if datapathType == "netdev" {
		return "tuntap"
	}
	return "openvswitch"
}

// A Tap is the kernel's end of a router interface.
type Tap struct {
	Interface string // the interface's ID
	Name      string
	MAC       [6]byte
	MTU       int // bytes of an IP packet
	Down      bool
	// Addresses are the router's own addresses, each with the length of its
	// subnet's prefix. All others are removed, except for IPv6 link-local ones.
	Addresses []netip.Prefix
}

// A Result says what [Ensure] did and what it did not find.
type Result struct {
	// Changed is what was changed, in words. None means that all was right, and
	// nothing was written.
	Changed []string
	// Missing names the taps that exist neither in the namespace nor outside of
	// it. It is for ovs-vswitchd to make them; a [Watcher] tells when it has.
	Missing []string
	// Lost says which routes of other programs have gone with what they needed, and why
	// they cannot be put back. They are tried again by each Ensure with the same Memory.
	Lost []string
	// Settings are those of Changed that are sysctls, with their former values. In a
	// namespace that was right before, another program has changed them.
	Settings []string
}

// errNoTap says that a tap is missing.
var errNoTap = errors.New("the tap does not exist")

// Ensure makes the namespace and the taps in it as d says. A namespace that
// does not exist is created. A tap is taken from the caller's namespace, also
// if there is one of ours in the router's already: that is what is left after
// ovs-vswitchd has made it anew. Of the routes, only those with our mark are
// added and removed; those of others that go with a change are put back, if there is a memory
// (nil: they go).
//
// A tap that cannot be put right does not keep Ensure from the others. The
// error joins those of all; that taps are missing is no error.
func Ensure(ctx context.Context, d Desired, memory *Memory) (Result, error) {
	e := &ensurer{d: d, memory: memory}
	err := e.ensure(ctx)
	return e.Result, err
}

type ensurer struct {
	d       Desired
	ns      *os.File
	outside links // in the caller's namespace
	inside  links // in the router's
	dry     bool  // nothing is changed
	created bool  // the namespace did not exist
	memory  *Memory
	noteErr error // of what it was before
	Result
}

func (e *ensurer) did(format string, args ...any) {
	e.Changed = append(e.Changed, fmt.Sprintf(format, args...))
}

func (e *ensurer) ensure(ctx context.Context) error {
	ns, err := e.made()
	if ns == nil || err != nil {
		return err
	}
	defer ns.Close()
	e.ns = ns
	if e.outside, err = e.open(); err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer e.outside.Close()
	return enter(ns, func() error {
		if e.inside, err = e.open(); err != nil {
			return fmt.Errorf("open a netlink socket in namespace %s: %w", e.d.Name, err)
		}
		defer e.inside.Close()
		if err := e.loopback(); err != nil {
			return err
		}
		if err := e.remember(); err != nil {
			return fmt.Errorf("read the routes of other programs in namespace %s: %w", e.d.Name, err)
		}
		errs := []error{e.noteErr, e.sysctls()}
		for i := range e.d.Taps {
			if ctx.Err() != nil {
				errs = append(errs, context.Cause(ctx))
				break
			}
			t := &e.d.Taps[i]
			if err := e.tap(t); errors.Is(err, errNoTap) {
				e.Missing = append(e.Missing, t.Name)
			} else {
				errs = append(errs, err)
			}
		}
		if err := e.restore(); err != nil {
			errs = append(errs, fmt.Errorf("put back the routes of other programs in namespace %s: %w", e.d.Name, err))
		}
		if ctx.Err() == nil {
			errs = append(errs, e.routes())
		}
		return errors.Join(errs...)
	})
}

func (e *ensurer) loopback() error {
	lo, err := e.inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo in namespace %s: %w", e.d.Name, err)
	}
	want := mark{routerMark, e.d.Instance, e.d.Router}
	m, marked := markOf(lo, routerMark)
	switch {
	case marked && !m.of(e.d.Instance):
		return &ForeignError{Name: e.d.Name, Router: m.id, Owner: m.instance, Instance: e.d.Instance}
	case marked && m.id != e.d.Router:
		return fmt.Errorf("use namespace %s for router %q: it is that of router %q", e.d.Name, e.d.Router, m.id)
	}
	e.noteErr = e.note(lo)
	if marked && m != want {
		if err := e.inside.LinkSetAlias(lo, want.String()); err != nil {
			return fmt.Errorf("mark namespace %s as that of this instance, %s: %w", e.d.Name, e.d.Instance, err)
		}
		e.did("marked namespace %s as that of this instance, %s", e.d.Name, e.d.Instance)
	}
	if lo.Attrs().RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if err := e.inside.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo in namespace %s up: %w", e.d.Name, err)
	}
	e.did("set lo in %s up", e.d.Name)
	return nil
}
