package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// The kinds of marks.
const (
	routerMark    = "ofdvr-router"
	interfaceMark = "ofdvr-interface"
)

// A mark identifies the owner of a link. As an alias it is KIND@INSTANCE=ID. Earlier versions
// wrote KIND=ID, which means the instance "". An instance contains no "=", but an ID may.
type mark struct {
	kind, instance, id string
}

func (m mark) String() string {
	if m.instance == "" {
		return m.kind + "=" + m.id
	}
	return m.kind + "@" + m.instance + "=" + m.id
}

// markOf returns the mark of l. If l has no mark of that kind, ok is false.
func markOf(l netlink.Link, kind string) (mark, bool) {
	rest, ok := strings.CutPrefix(l.Attrs().Alias, kind)
	if !ok {
		return mark{}, false
	}
	if id, ok := strings.CutPrefix(rest, "="); ok {
		return mark{kind, "", id}, true
	}
	instance, id, ok := strings.Cut(strings.TrimPrefix(rest, "@"), "=")
	return mark{kind, instance, id}, ok && strings.HasPrefix(rest, "@") && instance != ""
}

// isOf reports whether l has a mark of the given kind and instance, or a mark of that kind
// from an earlier version.
func isOf(l netlink.Link, kind, instance string) bool {
	m, ok := markOf(l, kind)
	return ok && m.of(instance)
}

func (m mark) of(instance string) bool { return m.instance == "" || m.instance == instance }

// A ForeignError means that a namespace belongs to another instance of ofdvr on the same
// machine. It is not configured and not deleted.
type ForeignError struct {
	Name, Router string // the namespace, and its router in the other instance
	Owner        string // the instance that owns it
	Instance     string // this instance
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the name of namespace %s is taken: another instance of ofdvr on this machine, %s, uses it for its router %q; this instance is %s: "+
		"give the router another namespace here, or remove that router there", e.Name, e.Owner, e.Router, e.Instance)
}

// Adopt replaces the marks of earlier versions on the namespaces of routers, and on the taps in
// them, by marks of the given instance. It returns the names of the namespaces.
func Adopt(instance string, routers []string) (adopted []string, err error) {
	all, err := List()
	errs := []error{err}
	for _, ns := range all {
		if ns.Instance != "" || !slices.Contains(routers, ns.Router) {
			continue
		}
		err := adopt(ns.Name, instance)
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted in the meantime
		case err != nil:
			errs = append(errs, err)
		default:
			adopted = append(adopted, ns.Name)
		}
	}
	return adopted, errors.Join(errs...)
}

func adopt(name, instance string) error {
	ns, err := openNS(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return inside(ns, func(h *netlink.Handle) error {
		links, err := dump(h.LinkList)
		if err != nil {
			return fmt.Errorf("list the links of namespace %s: %w", name, err)
		}
		for _, l := range links {
			for _, kind := range []string{routerMark, interfaceMark} {
				m, ok := markOf(l, kind)
				if !ok || m.instance != "" {
					continue
				}
				m.instance = instance
				if err := h.LinkSetAlias(l, m.String()); err != nil && !isGone(err) {
					return fmt.Errorf("mark %s in namespace %s as owned by instance %s: %w", l.Attrs().Name, name, instance, err)
				}
			}
		}
		return nil
	})
}
