package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Limits of a valid [Model].
const (
	MaxIDLen = 64 // bytes
	MinVLAN  = 1
	MaxVLAN  = 4094
	MinMTU   = 68
	MaxMTU   = 65535
)

// A PathError says which part of a Model is wrong. Path is written with the
// keys of a topology file, as in "routers[0].interfaces[1].mac"; packages that
// read models from files translate it to a line. Where a part is missing, Path
// says where it would be.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// ErrUnknownNetwork is wrapped where an interface or a port is on a network
// that the Model does not have.
var ErrUnknownNetwork = errors.New("unknown network")

// Validate reports everything that makes m unusable, as a join of
// [*PathError]s in the order of m: networks, routers with their interfaces,
// ports. Of two objects that contradict each other the later is wrong. The time
// it takes grows with the size of m as sorting does.
func (m *Model) Validate() error {
	v := validator{
		networks: make(map[string]bool, len(m.Networks)),
		macs:     make(map[onNetwork[ofproto.MAC]]owner, len(m.Ports)),
		addrs:    make(map[onNetwork[netip.Addr]]owner, len(m.Ports)),
	}
	for i := range m.Networks {
		v.networks[m.Networks[i].ID] = true
	}
	v.checkNetworks(m.Networks)
	v.checkRouters(m.Routers)
	v.checkPorts(m.Ports)
	return errors.Join(v.errs...)
}

// A validator collects what is wrong, and who owns what must not be shared.
type validator struct {
	errs     []error
	networks map[string]bool
	macs     map[onNetwork[ofproto.MAC]]owner
	addrs    map[onNetwork[netip.Addr]]owner
	names    nameTable
}

type onNetwork[T comparable] struct {
	network string
	value   T
}

// An owner is an object in the words of an error message.
type owner struct{ kind, id string }

func (o owner) String() string { return fmt.Sprintf("%s %q", o.kind, o.id) }

// A path is where an error is; it becomes text only if there is one.
type path struct {
	router, iface, i int // indices; -1 where absent
	kind             pathKind
}

type pathKind uint8

const (
	networkPath pathKind = iota
	routerPath
	ifacePath
	portPath
)

func (p path) String() string {
	switch p.kind {
	case networkPath:
		return fmt.Sprintf("networks[%d]", p.i)
	case routerPath:
		return fmt.Sprintf("routers[%d]", p.router)
	case ifacePath:
		return fmt.Sprintf("routers[%d].interfaces[%d]", p.router, p.iface)
	default:
		return fmt.Sprintf("ports[%d]", p.i)
	}
}

// bad records that key of the object at p is wrong.
func (v *validator) bad(p path, key, format string, args ...any) {
	v.errs = append(v.errs, &PathError{p.String() + "." + key, fmt.Errorf(format, args...)})
}

func (v *validator) checkNetworks(networks []Network) {
	ids := make(map[string]bool, len(networks))
	vlans := make(map[uint16]string)
	for i := range networks {
		n, p := &networks[i], path{kind: networkPath, i: i}
		v.checkID(p, owner{"network", n.ID}, ids)
		if n.VLAN != 0 {
			if n.VLAN > MaxVLAN {
				v.bad(p, "vlan", "vlan %d is outside %d–%d", n.VLAN, MinVLAN, MaxVLAN)
			} else if other, used := vlans[n.VLAN]; used && other != n.ID {
				v.bad(p, "vlan", "vlan %d is already used by network %q", n.VLAN, other)
			} else {
				vlans[n.VLAN] = n.ID
			}
		}
		if n.MTU < MinMTU || n.MTU > MaxMTU {
			v.bad(p, "mtu", "mtu %d is outside %d–%d", n.MTU, MinMTU, MaxMTU)
		}
	}
}

func (v *validator) checkRouters(routers []Router) {
	ids := make(map[string]bool, len(routers))
	ifaceIDs := make(map[string]bool)
	for i := range routers {
		r, p := &routers[i], path{kind: routerPath, router: i}
		v.checkID(p, owner{"router", r.ID}, ids)
		v.checkBridge(p, r)
		overlaps := overlaps(r.Interfaces)
		for j := range r.Interfaces {
			f, p := &r.Interfaces[j], path{kind: ifacePath, router: i, iface: j}
			who := owner{"interface", f.ID}
			v.checkID(p, who, ifaceIDs)
			v.checkNetwork(p, f.Network)
			v.checkMAC(p, who, f.Network, f.MAC)
			v.checkPrefixes(p, who, f, overlaps[j])
			v.checkInterfaceNames(p, r, f)
		}
	}
}

func (v *validator) checkPorts(ports []Port) {
	ids := make(map[string]bool, len(ports))
	for i := range ports {
		q, p := &ports[i], path{kind: portPath, i: i}
		who := owner{"port", q.ID}
		v.checkID(p, who, ids)
		v.checkNetwork(p, q.Network)
		v.checkMAC(p, who, q.Network, q.MAC)
		for k, a := range q.Addresses {
			if err := checkAddr(a); err != nil {
				v.bad(p, elem("addresses", k), "%w", err)
				continue
			}
			v.claim(p, k, who, q.Network, a)
		}
	}
}

// checkID checks who.id and enters it into ids, those of its kind.
func (v *validator) checkID(p path, who owner, ids map[string]bool) {
	if err := checkID(who.id); err != nil {
		v.bad(p, "id", "%w", err)
		return
	}
	if ids[who.id] {
		v.bad(p, "id", "there is already %s %v", article(who.kind), who)
	}
	ids[who.id] = true
}

func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the ID is empty")
	case len(id) > MaxIDLen:
		return fmt.Errorf("the ID has %d bytes, more than %d", len(id), MaxIDLen)
	case !utf8.ValidString(id):
		return fmt.Errorf("the ID %q is not UTF-8", id)
	}
	for _, c := range id {
		if c < ' ' || 0x7f <= c && c < 0xa0 {
			return fmt.Errorf("the ID %q has a control character", id)
		}
	}
	return nil
}

func (v *validator) checkNetwork(p path, id string) {
	switch {
	case id == "":
		v.bad(p, "network", "no network is given")
	case !v.networks[id]:
		v.bad(p, "network", "%w %q", ErrUnknownNetwork, id)
	}
}

func (v *validator) checkMAC(p path, who owner, network string, mac ofproto.MAC) {
	switch {
	case mac == ofproto.MAC{}:
		v.bad(p, "mac", "mac %v is zero", mac)
		return
	case mac.IsMulticast():
		v.bad(p, "mac", "mac %v is a multicast address", mac)
		return
	case network == "":
		return
	}
	key := onNetwork[ofproto.MAC]{network, mac}
	if other, used := v.macs[key]; used {
		v.bad(p, "mac", "mac %v is already used by %v on network %q", mac, other, network)
		return
	}
	v.macs[key] = who
}

// claim enters who as the owner of its address number k.
func (v *validator) claim(p path, k int, who owner, network string, a netip.Addr) {
	if network == "" {
		return
	}
	key := onNetwork[netip.Addr]{network, a}
	if other, used := v.addrs[key]; used {
		v.bad(p, elem("addresses", k), "address %v is already used by %v on network %q", a, other, network)
		return
	}
	v.addrs[key] = who
}

func elem(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func article(noun string) string {
	if noun == "interface" {
		return "an"
	}
	return "a"
}
