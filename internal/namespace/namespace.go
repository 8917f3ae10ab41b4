package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Desired is the desired state of a router's namespace.
type Desired struct {
	Name   string // such as qrouter-r1
	Router string // the router's ID
	// Instance distinguishes instances of ofdvr on the same machine. It is "" in marks of
	// earlier versions, which any instance takes over.
	Instance string
	Kind     string // kind of the links that ovs-vswitchd creates, see [Kind]; "" if unknown
	Taps     []Tap
	Routes   []Route
}

// Kind returns the kind of links that ovs-vswitchd creates for ports of type internal in bridges
// with a datapath_type.
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
	MTU       int // maximum size of an IP packet, in bytes
	Down      bool
	// Addresses are the router's addresses, each with the prefix length of its subnet. All other
	// addresses are removed, except IPv6 link-local addresses.
	Addresses []netip.Prefix
}

// A Result has the changes that [Ensure] made, and the taps that it did not find.
type Result struct {
	// Changed describes the changes. If it is empty, nothing was written.
	Changed []string
	// Missing names the taps that do not exist in the namespace or outside of it. ovs-vswitchd
	// creates them, and then a [Watcher] reports a change.
	Missing []string
	// Lost describes the routes of other programs that were lost and cannot be restored, each
	// with the reason. Each Ensure with the same Memory tries again.
	Lost []string
	// Settings describes the sysctls in Changed, with their previous values. If the namespace was
	// correct before, another program has changed them.
	Settings []string
}

// errNoTap means that a tap is missing.
var errNoTap = errors.New("the tap does not exist")

// Ensure makes the namespace and its taps match d. It creates the namespace if it does not exist.
// It moves a tap from the caller's namespace even if the router's namespace already has a tap of
// ours with that name. Then ovs-vswitchd has recreated the tap, and the tap inside is stale. Ensure
// adds and removes only routes with our mark. If memory is not nil, Ensure restores routes of other
// programs that a change has removed.
//
// A tap that cannot be corrected does not affect the others. The error joins the errors of all
// taps. A missing tap is no error.
func Ensure(ctx context.Context, d Desired, memory *Memory) (Result, error) {
	e := &ensurer{d: d, memory: memory}
	err := e.ensure(ctx)
	return e.Result, err
}

type ensurer struct {
	d       Desired
	ns      *os.File
	outside links // in the caller's namespace
	inside  links // in the router's namespace
	sysctl  sysctlReader
	dry     bool // nothing is changed
	created bool // the namespace was created by this call
	memory  *Memory
	noteErr error // error of the backup
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
		defer e.sysctl.close()
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
			errs = append(errs, fmt.Errorf("restore the routes of other programs in namespace %s: %w", e.d.Name, err))
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
		return fmt.Errorf("use namespace %s for router %q: it belongs to router %q", e.d.Name, e.d.Router, m.id)
	}
	e.noteErr = e.note(lo)
	if marked && m != want {
		if err := e.inside.LinkSetAlias(lo, want.String()); err != nil {
			return fmt.Errorf("mark namespace %s as owned by this instance, %s: %w", e.d.Name, e.d.Instance, err)
		}
		e.did("marked namespace %s as owned by this instance, %s", e.d.Name, e.d.Instance)
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
