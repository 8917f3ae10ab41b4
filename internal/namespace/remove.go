package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Namespace is a namespace with a mark of ofdvr.
type Namespace struct {
	Name     string
	Router   string // the router's ID, from the mark
	Instance string // the instance of ofdvr, from the mark; "" for a mark of an earlier version
}

// A KeptError has the reason why a namespace was not deleted.
type KeptError struct {
	Name string
	Why  string
}

func (e *KeptError) Error() string { return fmt.Sprintf("namespace %s was kept: %s", e.Name, e.Why) }

// Remove deletes the namespace called name together with our taps in it. If the namespace does not
// exist, Remove returns nil. If the namespace does not belong to this instance or to an earlier
// version, or contains a link of another program, it stays unchanged, and the error is a
// [*KeptError].
func Remove(name, instance string) error {
	err := Removable(name, instance)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return deleteNS(name)
}

// Removable returns a [*KeptError] if [Remove] would leave the namespace unchanged. If the
// namespace does not exist, the error wraps [fs.ErrNotExist].
func Removable(name, instance string) error {
	ns, err := openNS(name)
	if errors.Is(err, errNotNamespace) {
		return &KeptError{name, fmt.Sprintf("%s is not a network namespace; delete it with `ip netns delete`", path(name))}
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	var foreign []string
	ours, other := false, mark{}
	err = inside(ns, func(h *netlink.Handle) error {
		links, err := dump(h.LinkList)
		if err != nil {
			return fmt.Errorf("list the links of namespace %s: %w", name, err)
		}
		for _, l := range links {
			switch {
			case l.Attrs().Name == "lo":
				other, ours = markOf(l, routerMark)
			case !isOf(l, interfaceMark, instance) && !isFallback(l):
				foreign = append(foreign, l.Attrs().Name)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !ours:
		return &KeptError{name, "it does not belong to ofdvr"}
	case !other.of(instance):
		return &KeptError{name, fmt.Sprintf("it belongs to router %q of another instance of ofdvr on this machine, %s", other.id, other.instance)}
	case len(foreign) > 0:
		slices.Sort(foreign)
		return &KeptError{name, "it has links that do not belong to ofdvr: " + strings.Join(foreign, ", ") +
			"; delete them, or the namespace with `ip netns delete`"}
	}
	return nil
}

// fallback lists the devices that the kernel itself creates in every new namespace for each loaded
// tunnel module.
var fallback = [...]string{"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}

func isFallback(l netlink.Link) bool {
	return slices.Contains(fallback[:], l.Attrs().Name) && l.Attrs().RawFlags&unix.IFF_UP == 0
}

// List returns all namespaces with a mark of ofdvr, sorted by name. Namespaces of other
// instances are included. The error joins the errors of namespaces that could not be examined.
func List() ([]Namespace, error) { return ListExcept(nil) }

// ListExcept is like List, but ignores the given namespaces and does not enter them.
func ListExcept(without map[string]bool) ([]Namespace, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	var (
		all  []Namespace
		errs []error
	)
	for _, entry := range entries {
		name := entry.Name()
		if without[name] {
			continue
		}
		m, ours, err := markedRouter(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotNamespace), errors.As(err, new(*HostError)): // deleted in the meantime, or not ours
		case err != nil:
			errs = append(errs, err)
		case ours:
			all = append(all, Namespace{Name: name, Router: m.id, Instance: m.instance})
		}
	}
	return all, errors.Join(errs...)
}

// markedRouter returns the mark of the namespace called name.
func markedRouter(name string) (m mark, ours bool, err error) {
	ns, err := openNS(name)
	if err != nil {
		return m, false, err
	}
	defer ns.Close()
	err = inside(ns, func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo in namespace %s: %w", name, err)
		}
		m, ours = markOf(lo, routerMark)
		return nil
	})
	return m, ours, err
}

// inside calls f with a netlink handle in ns.
func inside(ns *os.File, f func(*netlink.Handle) error) error {
	return enter(ns, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open a netlink socket in %s: %w", ns.Name(), err)
		}
		defer h.Close()
		return f(h)
	})
}
