package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Kinds of marks.
const (
	routerMark    = "ofdvr-router"
	interfaceMark = "ofdvr-interface"
)

// A mark says whose a link is. As an alias it is KIND@INSTANCE=ID, or KIND=ID where the instance
// is "", as versions before had it. An instance has no "=", an ID may have.
type mark struct {
	kind, instance, id string
}

func (m mark) String() string {
	if m.instance == "" {
		return m.kind + "=" + m.id
	}
	return m.kind + "@" + m.instance + "=" + m.id
}

// markOf returns the mark of l, false if it has none of that kind.
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

// isOf reports whether l has a mark of that kind that is an instance's: its own, or that of a
// version before.
func isOf(l netlink.Link, kind, instance string) bool {
	m, ok := markOf(l, kind)
	return ok && m.of(instance)
}

func (m mark) of(instance string) bool { return m.instance == "" || m.instance == instance }

// A ForeignError says that a namespace is that of another instance of ofdvr on the same
// machine. It is neither configured nor deleted.
type ForeignError struct {
	Name, Router string // the namespace, and the router that it is of there
	Owner        string // the instance that has it
	Instance     string // this one
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the name of namespace %s is taken: another instance of ofdvr on this machine, %s, has it for its router %q, and this one is %s: "+
		"give the router another namespace here, or remove it there", e.Name, e.Owner, e.Router, e.Instance)
}

// Adopt marks the namespaces of routers that have the mark of a version before as those of
// an instance, with the taps in them. It returns their names.
func Adopt(instance string, routers []string) (adopted []string, err error) {
	all, err := List()
	errs := []error{err}
	for _, ns := range all {
		if ns.Instance != "" || !slices.Contains(routers, ns.Router) {
			continue
		}
		err := adopt(ns.Name, instance)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
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
					return fmt.Errorf("mark %s in namespace %s as that of instance %s: %w", l.Attrs().Name, name, instance, err)
				}
			}
		}
		return nil
	})
}
