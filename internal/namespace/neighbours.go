package namespace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Neighbours reports the resolved neighbours of namespaces. A neighbour is resolved if the kernel
// knows its MAC address, in any reachability state.
type Neighbours struct {
	report func(id string, resolved []netip.Addr)
	wanted chan map[string]string // capacity 1; has the latest argument of Follow
}

// neighboursPause is the time in which changes are collected into one report.
const neighboursPause = 50 * time.Millisecond

// NewNeighbours returns Neighbours that call report with the ID of a namespace and its resolved
// addresses, sorted. report is called at first, and whenever the addresses change. Calls for one
// namespace do not overlap.
func NewNeighbours(report func(id string, resolved []netip.Addr)) *Neighbours {
	return &Neighbours{report: report, wanted: make(chan map[string]string, 1)}
}

// Follow sets the namespaces to watch, as a map of names to IDs. They need not exist. Calls
// must not overlap.
func (n *Neighbours) Follow(ids map[string]string) {
	select {
	case <-n.wanted:
	default:
	}
	n.wanted <- ids
}

// Run watches namespaces until ctx is done, and returns the cause of ctx.
func (n *Neighbours) Run(ctx context.Context) error {
	var g errgroup.Group
	defer g.Wait()
	type followed struct {
		file os.FileInfo // the namespace's file when watching began; nil if it did not exist
		id   string
		stop context.CancelFunc
		done chan struct{}
	}
	now := make(map[string]followed)
	end := func(name string) {
		now[name].stop()
		<-now[name].done
		delete(now, name)
	}
	defer func() {
		for name := range maps.Clone(now) {
			end(name)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ids := <-n.wanted:
			for name, f := range maps.Clone(now) {
				if file, _ := os.Stat(path(name)); ids[name] != f.id || !os.SameFile(file, f.file) { // the namespace was replaced
					end(name)
				}
			}
			for name, id := range ids {
				file, err := os.Stat(path(name))
				if _, known := now[name]; known || err != nil {
					continue
				}
				inner, stop := context.WithCancel(ctx)
				f := followed{file, id, stop, make(chan struct{})}
				now[name] = f
				g.Go(func() error {
					defer close(f.done)
					for inner.Err() == nil {
						_ = n.follow(inner, name, id) // after an error everything is read again
						select {
						case <-inner.Done():
						case <-time.After(time.Second):
						}
					}
					return nil
				})
			}
		}
	}
}

// follow reports the neighbours of one namespace until ctx is done or events were lost.
func (n *Neighbours) follow(ctx context.Context, name, id string) error {
	var events *os.File
	var there []netlink.Neigh
	err := Enter(name, func() (err error) {
		if events, err = neighbourEvents(); err != nil {
			return err
		}
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		there, err = dump(func() ([]netlink.Neigh, error) { return h.NeighList(0, netlink.FAMILY_ALL) })
		return err
	})
	if events != nil {
		defer events.Close()
	}
	if err != nil {
		return fmt.Errorf("list the neighbours of namespace %s: %w", name, err)
	}
	resolved := make(map[netip.Addr]bool)
	for i := range there {
		if a, is := resolvedTo(&there[i]); is {
			resolved[a] = true
		}
	}
	defer context.AfterFunc(ctx, func() { events.SetReadDeadline(time.Now()) })()
	buf := make([]byte, 4096) // an event has about 100 bytes
	due := time.Now()         // time of the next report; zero if there are no changes
	for {
		if err := events.SetReadDeadline(due); err != nil {
			return fmt.Errorf("follow the neighbours of namespace %s: %w", name, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch size, err := events.Read(buf); {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			due = time.Time{}
			n.report(id, slices.SortedFunc(maps.Keys(resolved), netip.Addr.Compare))
		case err != nil:
			return fmt.Errorf("follow the neighbours of namespace %s: %w", name, err)
		case learn(resolved, buf[:size]) && due.IsZero():
			due = time.Now().Add(neighboursPause)
		}
	}
}

// learn applies netlink messages to resolved, and reports whether it changed.
func learn(resolved map[netip.Addr]bool, messages []byte) (changed bool) {
	list, err := syscall.ParseNetlinkMessage(messages)
	if err != nil {
		return false
	}
	for _, m := range list {
		neigh, err := netlink.NeighDeserialize(m.Data)
		if err != nil || m.Header.Type != unix.RTM_NEWNEIGH && m.Header.Type != unix.RTM_DELNEIGH {
			continue
		}
		a, is := resolvedTo(neigh)
		is = is && m.Header.Type == unix.RTM_NEWNEIGH
		if is == resolved[a] {
			continue
		}
		changed = true
		if is {
			resolved[a] = true
		} else {
			delete(resolved, a)
		}
	}
	return changed
}

// neighbourEvents opens a socket for neighbour events in the thread's namespace. (netlink's own
// subscription costs 130 kB of stack for each namespace.)
func neighbourEvents() (*os.File, error) {
	s, err := listen(unix.RTMGRP_NEIGH)
	if err != nil {
		return nil, fmt.Errorf("subscribe to neighbours: %w", err)
	}
	return os.NewFile(uintptr(s), "neighbours"), nil
}

// resolvedTo returns the address of a neighbour, and whether its MAC address is known.
func resolvedTo(n *netlink.Neigh) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	a = a.Unmap()
	const known = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	return a, ok && n.State&known != 0 && len(n.HardwareAddr) == 6 && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}
