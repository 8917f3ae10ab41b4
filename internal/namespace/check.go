package namespace

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Check returns the changes that [Ensure] would make, and the missing taps. It changes
// nothing, so it does not report changes that are needed only after other changes.
func Check(ctx context.Context, d Desired) (Result, error) {
	e := &ensurer{d: d, dry: true}
	err := e.ensure(ctx)
	return e.Result, err
}

// links has the operations that an [ensurer] needs. A [netlink.Handle] implements it.
type links interface {
	LinkByName(string) (netlink.Link, error)
	LinkList() ([]netlink.Link, error)
	LinkSetAlias(netlink.Link, string) error
	LinkSetNsFd(netlink.Link, int) error
	LinkSetHardwareAddr(netlink.Link, net.HardwareAddr) error
	LinkSetMTU(netlink.Link, int) error
	LinkSetUp(netlink.Link) error
	LinkSetDown(netlink.Link) error
	LinkDel(netlink.Link) error
	AddrList(netlink.Link, int) ([]netlink.Addr, error)
	AddrAdd(netlink.Link, *netlink.Addr) error
	AddrDel(netlink.Link, *netlink.Addr) error
	RouteListFilteredIter(int, *netlink.Route, uint64, func(netlink.Route) bool) error
	RouteAdd(*netlink.Route) error
	RouteReplace(*netlink.Route) error
	RouteDel(*netlink.Route) error
	Close()
}

// open returns the links of the calling thread's namespace.
func (e *ensurer) open() (links, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if e.dry {
		return untouched{h}, nil
	}
	return h, nil
}

// untouched is a handle that reads but changes nothing.
type untouched struct{ *netlink.Handle }

func (untouched) LinkSetAlias(netlink.Link, string) error                  { return nil }
func (untouched) LinkSetNsFd(netlink.Link, int) error                      { return nil }
func (untouched) LinkSetHardwareAddr(netlink.Link, net.HardwareAddr) error { return nil }
func (untouched) LinkSetMTU(netlink.Link, int) error                       { return nil }
func (untouched) LinkSetUp(netlink.Link) error                             { return nil }
func (untouched) LinkSetDown(netlink.Link) error                           { return nil }
func (untouched) LinkDel(netlink.Link) error                               { return nil }
func (untouched) AddrAdd(netlink.Link, *netlink.Addr) error                { return nil }
func (untouched) AddrDel(netlink.Link, *netlink.Addr) error                { return nil }
func (untouched) RouteAdd(*netlink.Route) error                            { return nil }
func (untouched) RouteReplace(*netlink.Route) error                        { return nil }

// RouteDel returns ESRCH, no such route, which ends a loop that removes several routes.
func (untouched) RouteDel(*netlink.Route) error { return unix.ESRCH }

// write writes a file of /proc/sys.
func (e *ensurer) write(file, value string) error {
	if e.dry {
		return nil
	}
	return os.WriteFile(file, []byte(value), 0)
}

// made opens the namespace. It creates the namespace if it does not exist.
func (e *ensurer) made() (*os.File, error) {
	ns, err := openNS(e.d.Name)
	leftover := errors.Is(err, errNotNamespace)
	if !leftover && !errors.Is(err, fs.ErrNotExist) {
		return ns, err
	}
	if !e.dry {
		if err := createNS(e.d.Name, mark{routerMark, e.d.Instance, e.d.Router}, leftover); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return openNS(e.d.Name)
			}
			return nil, err
		}
	}
	e.created = true
	e.did("created namespace %s", e.d.Name)
	if e.dry {
		return nil, nil
	}
	return openNS(e.d.Name)
}
