package namespace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Rule is a policy rule (ip-rule(8)) that may apply to packets that a router forwards.
type Rule struct {
	IPv6     bool
	Decides  bool         // the rule drops, rejects or jumps, instead of looking up a table
	Table    uint32       // the table, unless Decides
	From, To netip.Prefix // prefixes of matching packets; zero means all
	Partly   bool         // the rule matches only some of these packets, or skips some routes
}

// An Entry is a route of a namespace, in any table and of any owner.
type Entry struct {
	Table       uint32
	Destination netip.Prefix
	Metric      int
	// Declared means that the route is a desired route, or that the kernel made it for a
	// desired address. Another program may have the same route.
	Declared bool
	Partly   bool // the route is for some packets to Destination only, and precedes the routes for all packets
	Throw    bool // the lookup in this table ends without a route
}

// An Observer receives the rules and routes of a namespace.
type Observer interface {
	// Rule is called for each rule, in the order in which the kernel applies the rules.
	Rule(Rule)
	// Entry is called for each route, after all rules, in the order of the kernel's list.
	Entry(Entry)
}

// Observe reads the rules and routes of d's namespace. It calls begin for an Observer. If a
// list changed while it was read, Observe calls begin again and starts again with the new
// Observer.
func Observe(d Desired, begin func() Observer) error {
	err := Enter(d.Name, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open a netlink socket: %w", err)
		}
		defer h.Close()
		_, err = dump(func() ([]struct{}, error) { return nil, observe(h, d, begin()) })
		return err
	})
	if err != nil {
		return fmt.Errorf("read how namespace %s routes: %w", d.Name, err)
	}
	return nil
}

func observe(h *netlink.Handle, d Desired, o Observer) error {
	links, err := h.LinkList()
	if err != nil {
		return err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	made := declared(d)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := rules(family, o); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) { // the kernel has no IPv6 or no rules
			return fmt.Errorf("list the rules: %w", err)
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		err := h.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			e := Entry{Table: uint32(r.Table), Destination: destination(&r), Metric: r.Priority, Partly: r.Tos != 0, Throw: r.Type == unix.RTN_THROW}
			e.Declared = r.Protocol == protocol || made.has(e.Destination, &r, names)
			o.Entry(e)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// made has the routes that the desired state causes in the namespace.
type made struct {
	subnets map[subnetOf]bool
	routes  map[netip.Prefix]string
}

type subnetOf struct {
	netip.Prefix
	tap string
}

func declared(d Desired) made {
	m := made{subnets: make(map[subnetOf]bool), routes: make(map[netip.Prefix]string)}
	for i := range d.Taps {
		for _, p := range d.Taps[i].Addresses {
			m.subnets[subnetOf{p.Masked(), d.Taps[i].Name}] = true
		}
	}
	for _, r := range d.Routes {
		r.Hops = slices.Clone(r.Hops)
		r.sort()
		m.routes[r.Destination] = r.String()
	}
	return m
}

func (m made) has(to netip.Prefix, r *netlink.Route, names map[int]string) bool {
	if r.Protocol == unix.RTPROT_KERNEL {
		return m.subnets[subnetOf{to, names[r.LinkIndex]}]
	}
	text, ok := m.routes[to]
	t := slices.Index(kernelTypes[:], r.Type)
	if !ok || t < 0 {
		return false
	}
	same := Route{Destination: to, Type: RouteType(t), Hops: hopsOf(r, names)}
	same.sort()
	return same.String() == text
}

// rules calls o.Rule with the rules of the thread's namespace.
func rules(family int, o Observer) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP|unix.NLM_F_REQUEST)
	req.AddData(nl.NewIfInfomsg(family))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if r, applies, err := ruleOf(m); err != nil {
			return err
		} else if applies {
			o.Rule(r)
		}
	}
	return nil
}

// ruleOf decodes a rule (struct fib_rule_hdr and its attributes, see linux/fib_rules.h). If applies
// is false, the rule cannot apply to forwarded packets.
func ruleOf(m []byte) (r Rule, applies bool, err error) {
	head := nl.DeserializeRtMsg(m) // the layout is the same; Type is the action
	attrs, err := nl.ParseRouteAttr(m[head.Len():])
	if err != nil {
		return r, false, err
	}
	r = Rule{IPv6: head.Family == unix.AF_INET6, Table: uint32(head.Table), Partly: head.Tos != 0}
	applies = head.Type != nl.FR_ACT_NOP
	for _, a := range attrs {
		word := func() (n uint32) {
			if len(a.Value) >= 4 {
				n = binary.NativeEndian.Uint32(a.Value)
			}
			return n
		}
		switch a.Attr.Type {
		case nl.FRA_TABLE:
			r.Table = word()
		case nl.FRA_SRC:
			r.From = prefixOf(a.Value, head.Src_len)
		case nl.FRA_DST:
			r.To = prefixOf(a.Value, head.Dst_len)
		case nl.FRA_OIFNAME: // a forwarded packet has no output interface before it is routed
			applies = false
		case nl.FRA_IIFNAME:
			r.Partly = true
			if string(a.Value) == "lo\x00" { // locally generated packets
				applies = false
			}
		case nl.FRA_SUPPRESS_PREFIXLEN, nl.FRA_SUPPRESS_IFGROUP:
			r.Partly = r.Partly || word() != 0xffffffff
		case nl.FRA_L3MDEV:
			if len(a.Value) > 0 && a.Value[0] != 0 {
				r.Decides, r.Partly = true, true
			}
		case nl.FRA_FWMASK, nl.FRA_PRIORITY, nl.FRA_PROTOCOL, nl.FRA_PAD, nl.FRA_FLOW, nl.FRA_GOTO:
		default: // a mark, protocol, port, user, tunnel, or an attribute of newer kernels
			r.Partly = true
		}
	}
	if head.Type != nl.FR_ACT_TO_TBL {
		r.Decides = true
	}
	if head.Flags&netlink.FibRuleInvert != 0 {
		r.From, r.To, r.Partly = netip.Prefix{}, netip.Prefix{}, true
	}
	return r, applies, nil
}

func prefixOf(addr []byte, bits uint8) netip.Prefix {
	a, _ := netip.AddrFromSlice(addr)
	return netip.PrefixFrom(a, int(bits)).Masked()
}
