package namespace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A foreignRoute is a route of another program, as the kernel reports it.
type foreignRoute struct {
	foreignKey
	message []byte   // struct rtmsg and attributes (rtnetlink(7))
	legs    []string // next hops and links, sorted
	source  netip.Addr
	links   map[int]string // names of the links in message
}

// A foreignKey has the attributes by which the kernel distinguishes routes.
type foreignKey struct {
	family, tos uint8
	table       uint32
	to, from    netip.Prefix
	priority    uint32
}

const (
	rtmsgLen = unix.SizeofRtMsg // of struct rtmsg
	rtaNHID  = 30               // RTA_NH_ID: a nexthop object (linux/rtnetlink.h)
)

// notOthers are the protocols of routes that do not belong to other programs. The kernel restores
// its own routes.
var notOthers = []uint8{unix.RTPROT_KERNEL, unix.RTPROT_REDIRECT, unix.RTPROT_RA, uint8(protocol)}

// parseForeign parses a route. If the route does not belong to another program, ok is false.
func parseForeign(message []byte, names map[int]string) (r foreignRoute, ok bool) {
	if len(message) < rtmsgLen || slices.Contains(notOthers, message[5]) || binary.NativeEndian.Uint32(message[8:])&unix.RTM_F_CLONED != 0 {
		return r, false
	}
	attrs, err := nl.ParseRouteAttr(message[rtmsgLen:])
	if err != nil {
		return r, false
	}
	r = foreignRoute{message: message, links: make(map[int]string)}
	r.family, r.tos, r.table = message[0], message[3], uint32(message[4])
	zero := netip.IPv4Unspecified()
	if r.family == unix.AF_INET6 {
		zero = netip.IPv6Unspecified()
	}
	r.to, r.from = netip.PrefixFrom(zero, int(message[1])), netip.PrefixFrom(zero, int(message[2]))
	via, dev := "", 0
	var legs []string
	leg := func(via string, dev int) {
		r.links[dev] = names[dev]
		legs = append(legs, via+" dev "+names[dev])
	}
	for _, a := range attrs {
		addr, _ := netip.AddrFromSlice(a.Value)
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_DST:
			r.to = netip.PrefixFrom(addr, int(message[1]))
		case unix.RTA_SRC:
			r.from = netip.PrefixFrom(addr, int(message[2]))
		case unix.RTA_TABLE:
			r.table = binary.NativeEndian.Uint32(a.Value)
		case unix.RTA_PRIORITY:
			r.priority = binary.NativeEndian.Uint32(a.Value)
		case unix.RTA_PREFSRC:
			r.source = addr
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			via = viaText(a.Value)
		case unix.RTA_OIF:
			dev = int(binary.NativeEndian.Uint32(a.Value))
		case unix.RTA_MULTIPATH:
			eachHop(a.Value, func(h []byte) {
				via := ""
				hops, _ := nl.ParseRouteAttr(h[unix.SizeofRtNexthop:])
				for _, a := range hops {
					if a.Attr.Type == unix.RTA_GATEWAY || a.Attr.Type == unix.RTA_VIA {
						via = viaText(a.Value)
					}
				}
				leg(via, int(binary.NativeEndian.Uint32(h[4:])))
			})
		}
	}
	if dev != 0 {
		leg(via, dev)
	}
	slices.Sort(legs)
	r.legs = legs
	return r, len(legs) > 0
}

// viaText formats a next hop. A next hop of another family begins with its family number
// (struct rtvia).
func viaText(value []byte) string {
	if len(value)%4 == 2 {
		value = value[2:]
	}
	addr, _ := netip.AddrFromSlice(value)
	return " via " + addr.String()
}

// eachHop calls f with each struct rtnexthop of an RTA_MULTIPATH and its attributes.
func eachHop(b []byte, f func([]byte)) {
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return
		}
		f(b[:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// String returns r in the syntax of ip-route(8).
func (r foreignRoute) String() string {
	text := r.to.String()
	if r.to.Bits() == 0 {
		text = "default"
	}
	if r.from.Bits() > 0 {
		text += " from " + r.from.String()
	}
	text += strings.Join(r.legs, " nexthop")
	if r.source.IsValid() {
		text += " src " + r.source.String()
	}
	if r.table != unix.RT_TABLE_MAIN {
		text += fmt.Sprint(" table ", r.table)
	}
	if r.priority != 0 && r.priority != 1024 {
		text += fmt.Sprint(" metric ", r.priority)
	}
	return text
}

// again returns the message that creates r, with the current indices of its links. If a link
// does not exist, ok is false.
func (r foreignRoute) again(index map[string]int, source bool) ([]byte, bool) {
	for _, name := range r.links {
		if index[name] == 0 {
			return nil, false
		}
	}
	link := func(b []byte) {
		binary.NativeEndian.PutUint32(b, uint32(index[r.links[int(binary.NativeEndian.Uint32(b))]]))
	}
	head := slices.Clone(r.message[:rtmsgLen])
	binary.NativeEndian.PutUint32(head[8:], binary.NativeEndian.Uint32(head[8:])&unix.RTNH_F_ONLINK) // the other flags are states
	out := head
	attrs, _ := nl.ParseRouteAttr(r.message[rtmsgLen:]) // cannot fail: the message was parsed before
	for _, a := range attrs {
		value := slices.Clone(a.Value)
		kind := int(a.Attr.Type)
		switch kind &^ unix.NLA_F_NESTED {
		case unix.RTA_OIF:
			link(value)
		case unix.RTA_MULTIPATH:
			eachHop(value, func(h []byte) {
				h[2] &= unix.RTNH_F_ONLINK
				link(h[4:])
			})
		case unix.RTA_CACHEINFO: // of the cache info, only the remaining lifetime belongs to the route
			if len(value) < 12 {
				continue
			}
			left := binary.NativeEndian.Uint32(value[8:]) / 100 // USER_HZ
			if left == 0 {
				continue
			}
			kind, value = unix.RTA_EXPIRES, binary.NativeEndian.AppendUint32(nil, left)
		case rtaNHID: // leave it out: the nexthop object was deleted with the tap, and the message has its contents too
			continue
		case unix.RTA_PREFSRC:
			if !source {
				continue
			}
		}
		out = append(out, nl.NewRtAttr(kind, value).Serialize()...)
	}
	return out, true
}

// foreign returns the routes of other programs that need a link. names has the names of all links
// by index.
func (e *ensurer) foreign(names map[int]string) ([]foreignRoute, error) {
	var all []foreignRoute
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		messages, err := dump(func() ([][]byte, error) {
			req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
			req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family)}})
			return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
		})
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if r, ok := parseForeign(m, names); ok {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// install adds or replaces r in the thread's namespace.
func install(r foreignRoute, flags int, index map[string]int, source bool) error {
	message, ok := r.again(index, source)
	if !ok {
		return errors.New("it also needs another link, which does not exist")
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, flags|unix.NLM_F_ACK)
	req.AddRawData(message)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
