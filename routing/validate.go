package routing

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Limits of a valid [Model].
const (
	MaxIDLen = 64 // bytes
	MinVLAN  = 1
	MaxVLAN  = 4094
	MinMTU   = 68
	MaxMTU   = 65535

	MinIPv6MTU    = 1280 // RFC 8200 §5
	MaxAnswerRate = 1_000_000
	MaxWeight     = 256
	MaxNextHops   = 64 // of one route

	MaxRALifetime = 9000 // RFC 4861 §6.2.1
	MinRAInterval = 4
	MaxRAInterval = 1800
)

// DefaultRAPrefix has the defaults of an [RAPrefix].
var DefaultRAPrefix = RAPrefix{OnLink: true, Autonomous: true, Valid: 86400, Preferred: 14400}

// A PathError is an error in one part of a Model. Path has the keys of a topology file, as in
// "routers[0].interfaces[1].mac". Packages that read models from files translate it to a line.
// For a missing part, Path is the place where it should be.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// Errors wrap ErrUnknownNetwork if an interface or a port is on a network that does not exist.
var ErrUnknownNetwork = errors.New("unknown network")

// Errors wrap ErrUnknownHost if a port is expected on a host that does not exist.
var ErrUnknownHost = errors.New("unknown host")

// Validate returns all errors of m as a join of [*PathError]s, in the order of m: hosts,
// networks, routers with their interfaces, ports. If two objects are in conflict, the later
// one has the error. Validate takes about as much time as sorting m.
func (m *Model) Validate() error { return new(Index).Check(Change{Put: *m}) }

// Check returns all errors of c as a change of the indexed Model, which must be valid. The
// errors are a join of [*PathError]s: first those of c.Put, as [Model.Validate] returns them,
// then those of c.Delete, with paths such as "delete.networks[0]". Objects that c replaces or
// deletes are not in conflict with others. If other objects refer to a host or a network, it
// cannot be deleted, and the error is an [*InUseError]. Without an error, the Model of
// [Index.With] is valid. The time depends on the size of c, and on the number of objects on
// deleted networks.
func (x *Index) Check(c Change) error {
	v := validator{
		base:     x,
		hosts:    make(map[string]bool, len(c.Put.Hosts)),
		networks: make(map[string]bool, len(c.Put.Networks)),
		put:      make(map[string]*Network, len(c.Put.Networks)),
		macs:     make(map[onNetwork[ofproto.MAC]]owner, len(c.Put.Ports)),
		addrs:    make(map[onNetwork[netip.Addr]]owner, len(c.Put.Ports)),
	}
	for _, id := range c.Delete.Hosts {
		v.hosts[id] = false
	}
	for i := range c.Put.Hosts {
		v.hosts[c.Put.Hosts[i].ID] = true
	}
	for _, id := range c.Delete.Networks {
		v.networks[id] = false
	}
	for i := range c.Put.Networks {
		v.networks[c.Put.Networks[i].ID] = true
		v.put[c.Put.Networks[i].ID] = &c.Put.Networks[i]
	}
	v.leaves(&c)
	v.checkHosts(c.Put.Hosts)
	v.checkNetworks(c.Put.Networks)
	v.checkRouters(c.Put.Routers)
	v.checkPorts(c.Put.Ports)
	v.checkUplinkMACs(&c.Put)
	v.checkDeleted(c.Delete)
	return errors.Join(v.errs...)
}

// A validator collects errors, and the owners of unique values.
type validator struct {
	errs []error

	base     *Index              // the objects that exist
	last     *Members            // the last result of method on; the next call usually needs the same
	gone     map[owner]bool      // objects of base that are replaced or deleted
	hosts    map[string]bool     // true: put; false: deleted
	networks map[string]bool     // true: put; false: deleted
	put      map[string]*Network // networks that are put, by ID

	tunnels [2]string         // hosts with tunnels over IPv4 and over IPv6; "" if no host has one
	uplinks map[string]string // hosts that are put, by uplink
	carried map[string]bool   // networks with a VNI that have been checked

	declared []declaredMAC

	macs  map[onNetwork[ofproto.MAC]]owner
	addrs map[onNetwork[netip.Addr]]owner
	names nameTable
}

// leaves records the objects of base that c replaces or deletes.
func (v *validator) leaves(c *Change) {
	v.gone = make(map[owner]bool)
	network := func(id string) {
		if _, ok := v.base.Network(id); ok {
			v.gone[owner{KindNetwork, id}] = true
		}
	}
	router := func(id string) {
		r := v.base.Router(id)
		if r == nil {
			return
		}
		v.gone[owner{KindRouter, id}] = true
		for i := range r.Interfaces {
			v.gone[owner{KindInterface, r.Interfaces[i].ID}] = true
		}
	}
	port := func(id string) {
		if _, ok := v.base.homes.Get(home{port: id}); ok {
			v.gone[owner{KindPort, id}] = true
		}
	}
	host := func(id string) {
		if v.base.Host(id) != nil {
			v.gone[owner{KindHost, id}] = true
		}
	}
	for _, id := range c.Delete.Hosts {
		host(id)
	}
	for i := range c.Put.Hosts {
		host(c.Put.Hosts[i].ID)
	}
	for _, id := range c.Delete.Networks {
		network(id)
	}
	for i := range c.Put.Networks {
		network(c.Put.Networks[i].ID)
	}
	for _, id := range c.Delete.Routers {
		router(id)
	}
	for i := range c.Put.Routers {
		router(c.Put.Routers[i].ID)
	}
	for _, id := range c.Delete.Ports {
		port(id)
	}
	for i := range c.Put.Ports {
		port(c.Put.Ports[i].ID)
	}
}

// on returns a network of base with its members.
func (v *validator) on(network string) *Members {
	if v.last == nil || v.last.ID != network {
		v.last = v.base.Members(network)
	}
	return v.last
}

// claimed returns the claim of value in base, unless its owner is replaced or deleted.
func (v *validator) claimed(kind claimKind, value string) (claim, bool) {
	return v.base.claimed(kind, value, func(c claim) bool { return !v.gone[c.owner()] })
}

type onNetwork[T comparable] struct {
	network string
	value   T
}

// A path is the position of an error. It is formatted only when an error is reported.
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
	hostPath
)

func (p path) String() string {
	switch p.kind {
	case hostPath:
		return fmt.Sprintf("hosts[%d]", p.i)
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

// bad records an error in a key of the object at p.
func (v *validator) bad(p path, key, format string, args ...any) {
	v.errs = append(v.errs, &PathError{p.String() + "." + key, fmt.Errorf(format, args...)})
}

func (v *validator) checkNetworks(networks []Network) {
	ids := make(map[string]bool, len(networks))
	vlans := make(map[uint16]string)
	vnis := make(map[uint32]string)
	for i := range networks {
		n, p := &networks[i], path{kind: networkPath, i: i}
		v.checkID(p, owner{KindNetwork, n.ID}, ids)
		v.checkMeta(p, n.Meta)
		if n.VLAN != 0 {
			if n.VLAN > MaxVLAN {
				v.bad(p, "vlan", "vlan %d is outside %d–%d", n.VLAN, MinVLAN, MaxVLAN)
			} else if other, used := vlans[n.VLAN]; used && other != n.ID {
				v.taken(p, "vlan", owner{KindNetwork, other}, "vlan %d is already used by network %q", n.VLAN, other)
			} else if c, used := v.claimed(vlanTag, vlanValue(n.VLAN)); used {
				v.taken(p, "vlan", owner{KindNetwork, c.by}, "vlan %d is already used by network %q", n.VLAN, c.by)
			} else {
				vlans[n.VLAN] = n.ID
			}
		}
		if n.MTU < MinMTU || n.MTU > MaxMTU {
			v.bad(p, "mtu", "mtu %d is outside %d–%d", n.MTU, MinMTU, MaxMTU)
		}
		for _, l := range v.base.Legs(n.ID) {
			if MinMTU <= n.MTU && n.MTU < MinIPv6MTU && !v.gone[owner{KindInterface, l.ID}] && l.has6() {
				v.taken(p, "mtu", owner{KindRouter, l.Router.ID}, "IPv6 needs an MTU of %d, but interface %q has an IPv6 address", MinIPv6MTU, l.ID)
			}
		}
		v.checkScope(p, "ipv4_address_scope", n.IPv4Scope)
		v.checkScope(p, "ipv6_address_scope", n.IPv6Scope)
		v.checkVNI(p, n, vnis)
		v.checkTagged(p, n)
	}
}

func (v *validator) checkRouters(routers []Router) {
	ids := make(map[string]bool, len(routers))
	ifaceIDs := make(map[string]bool)
	for i := range routers {
		r, p := &routers[i], path{kind: routerPath, router: i}
		v.checkID(p, owner{KindRouter, r.ID}, ids)
		if r.ID == FabricBridge { // reserved: the status, the log and the metrics use this name for the fabric bridge
			v.bad(p, "id", "the ID %q is reserved for the bridge between hosts", r.ID)
		}
		v.checkMeta(p, r.Meta)
		v.checkBridge(p, r)
		if r.AnswerRate < 0 || r.AnswerRate > MaxAnswerRate {
			v.bad(p, "answer_rate", "answer_rate %d is outside 0–%d", r.AnswerRate, MaxAnswerRate)
		}
		if r.UnknownRate < 0 || r.UnknownRate > MaxAnswerRate {
			v.bad(p, "unknown_rate", "unknown_rate %d is outside 0–%d", r.UnknownRate, MaxAnswerRate)
		}
		overlaps := overlaps(r.Interfaces)
		carriedMACs := make(map[ofproto.MAC]string)
		for j := range r.Interfaces {
			f, p := &r.Interfaces[j], path{kind: ifacePath, router: i, iface: j}
			who := owner{KindInterface, f.ID}
			v.checkID(p, who, ifaceIDs)
			if c, used := v.claimed(interfaceID, f.ID); used {
				v.taken(p, "id", owner{KindRouter, c.by}, "there is already an %v, of router %q", who, c.by)
			}
			v.checkNetwork(p, f.Network)
			v.checkMAC(p, who, f.Network, f.MAC)
			v.checkPrefixes(p, who, f, overlaps[j])
			v.checkCarried(p, r, f, carriedMACs)
			v.checkInterfaceNames(p, r, f)
			v.checkRA(p, r, f)
		}
		v.checkRoutes(p, r)
	}
}

func (v *validator) checkPorts(ports []Port) {
	ids := make(map[string]bool, len(ports))
	for i := range ports {
		q, p := &ports[i], path{kind: portPath, i: i}
		who := owner{KindPort, q.ID}
		v.checkID(p, who, ids)
		v.checkMeta(p, q.Meta)
		v.checkNetwork(p, q.Network)
		if q.Host != "" && !v.hasHost(q.Host) {
			v.bad(p, "host", "%w %q", ErrUnknownHost, q.Host)
		}
		v.checkMAC(p, who, q.Network, q.MAC)
		for k, a := range q.Addresses {
			if err := checkAddr(a); err != nil {
				v.bad(p, elem("addresses", k), "%w", err)
				continue
			}
			v.claim(p, k, who, q.Network, a)
		}
		v.checkPairs(p, q)
	}
}

func (v *validator) checkNetwork(p path, id string) {
	switch {
	case id == "":
		v.bad(p, "network", "no network is given")
	case !v.hasNetwork(id):
		v.bad(p, "network", "%w %q", ErrUnknownNetwork, id)
	}
}

// mtu returns the MTU of a network, or MaxMTU if it is not known.
func (v *validator) mtu(id string) int {
	n, ok := v.network(id)
	if !ok || n.MTU < MinMTU { // the network has an error
		return MaxMTU
	}
	return n.MTU
}

// network returns the network called id after the change.
func (v *validator) network(id string) (Network, bool) {
	if n, put := v.put[id]; put {
		return *n, true
	}
	if _, deleted := v.networks[id]; deleted {
		return Network{}, false
	}
	return v.base.Network(id)
}

func (v *validator) hasNetwork(id string) bool {
	has, decided := v.networks[id]
	if !decided {
		_, has = v.base.Network(id)
	}
	return has
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
	other, used := v.macs[key]
	if !used {
		var m macOf
		m, used = v.on(network).macs.Get(macOf{mac: mac})
		other, used = m.owner, used && !v.gone[m.owner]
	}
	if used {
		v.taken(p, "mac", other, "mac %v is already used by %v on network %q", mac, other, network)
		return
	}
	v.macs[key] = who
	if mac[0] == uplinkByte {
		v.declared = append(v.declared, declaredMAC{p, who, network, mac})
	}
}

func elem(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func article(k Kind) string {
	if k == KindInterface {
		return "an"
	}
	return "a"
}
