// Package compile translates a router of a [routing.Model] into the flows, groups and meters
// of its bridge. It is pure: the result of [Compile] depends only on the [routing.Index] and
// on [Facts], which are observations of the bridge and the router's namespace. [Recompile]
// returns the same as Compile, in time proportional to the size of the change.
package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Program is the desired contents of one routing bridge. It is immutable.
type Program struct {
	Flows ofproto.Set
	// Groups and Meters are the groups and meters that Flows refer to, sorted by ID.
	Groups []ofproto.GroupEntry
	Meters []ofproto.MeterEntry
	// Missing has the names of ports that the bridge does not have yet. Flows that need these
	// ports are left out.
	Missing []string
	// Objects has the object of the Model for each cookie in Flows.
	Objects Objects

	source source
	fabric *fabricSource // source of a fabric bridge's Program; nil for a routing bridge
}

// The pipeline. Flows may only continue in a later table. docs/flow-program.md describes the
// whole program.
const (
	tableClassify ofproto.TableID = iota // by ingress port: answer, send to the kernel, or route
	tableLocal                           // packets for the router itself, or that must not be routed
	tableRoute                           // by destination network
	tableDeliver                         // by destination address
	tableLimit                           // by sender: limit answers
	tableAnswer                          // by ingress port: send an answer back
	tableKernel                          // by ingress port: send to the kernel
	tableUnknown                         // by destination: limit packets for unknown neighbours
	tableTap                             // by ingress port: send packets within the limit to the kernel
)

// The metadata of routed packets.
const (
	metaScope uint64 = 0xffff           // number of the address scope
	metaNear  uint64 = 1 << 16          // the source is in a subnet of the ingress interface
	metaRoute uint64 = 0xffffffff << 32 // 1 + the index of the extra route
)

// tooBig is the bit for packets that are larger than the MTU of the egress network.
var tooBig = ofproto.Bit(ofproto.FieldReg0, 0)

const prioDrop = 0 // in each table

// Compile translates router r of the indexed Model into its program. Equal arguments give
// equal Programs.
func Compile(x *routing.Index, r *routing.Router, facts Facts) Program {
	return sourceOf(x, r, facts, source{}).compile()
}

// A source is everything that a [Program] depends on.
type source struct {
	router  *routing.Router
	can     Capabilities
	kernel  *Kernel
	known   *Neighbours
	host    string // ID of this host; "" without a fabric bridge
	legs    []leg
	missing []string

	// Computed from the other fields.
	limits   *limits
	groups   []ofproto.GroupID // by route
	min, max int               // MTUs of the legs' networks
}

// sourceOf returns what the Program of r depends on. If prev is the source of an earlier
// Program, it reuses the parts that are expensive to compute.
func sourceOf(x *routing.Index, r *routing.Router, facts Facts, prev source) source {
	s := source{router: r, can: facts.Can, kernel: facts.Kernel, known: facts.Neighbours, host: facts.Host, limits: prev.limits, groups: prev.groups}
	if prev.router != r {
		s.limits, s.groups = limitsOf(r), groupIDs(r)
	}
	find := func(name string) ofproto.PortNo {
		no, ok := facts.Ports[name]
		if !ok {
			s.missing = append(s.missing, name)
		}
		return no
	}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		l := leg{Interface: f, network: x.Members(f.Network), patch: find(f.PatchName())}
		if r.Fallback == routing.FallbackNamespace {
			l.tap = find(f.TapName())
		}
		if by := routing.CarrierOf(x, s.host, &l.network.Network); by != routing.NotCarried {
			if port := find(r.FabricPeer()); !facts.Awaits[f.ID] {
				l.fabric, l.uplink = port, by == routing.ByUplink
			}
		}
		l.ids = s.limits.ids[i]
		if r.AnswerRate > 0 && s.can.Has(CanMeter) {
			l.meters = l.ids
		}
		if l.ids != nil && s.can.Has(CanMeter) {
			l.large = l.ids[countLarge]
		}
		if l.patch != 0 && !f.Down {
			s.legs = append(s.legs, l)
		}
	}
	for _, v := range families {
		numbers := make(map[string]uint64) // of scopes
		for i := range s.legs {
			if name := scopeOf(s.legs[i].network, v); numbers[name] == 0 {
				numbers[name] = uint64(len(numbers) + 1)
			}
		}
		for i := range s.legs {
			if l := &s.legs[i]; len(numbers) > 1 {
				l.scope[v] = numbers[scopeOf(l.network, v)]
			}
		}
	}
	for i := range s.legs {
		mtu := s.legs[i].network.MTU
		if i == 0 {
			s.min = mtu
		}
		s.min, s.max = min(s.min, mtu), max(s.max, mtu)
	}
	return s
}

// A leg is an interface that is up and has known port numbers.
type leg struct {
	*routing.Interface
	network    *routing.Members
	patch, tap ofproto.PortNo    // tap is 0 without fallback
	fabric     ofproto.PortNo    // port to the fabric bridge; 0 if the network is on this host only
	uplink     bool              // an uplink carries the network
	ids        []ofproto.MeterID // meters, by kind; nil if there are too many interfaces
	meters     []ofproto.MeterID // meters for answers, by kind; nil if there is no limit
	large      ofproto.MeterID   // counts packets that are larger than the next MTU; 0 if there is no such meter
	scope      [2]uint64         // numbers of its address scopes, by family; 0 if there is only one scope
}

func (l *leg) object() routing.Object {
	return routing.Object{Kind: routing.KindInterface, ID: l.ID, Interface: l.ID}
}

// has reports whether l has an address of a family.
func (l *leg) has(v family) bool {
	for _, p := range l.Addresses {
		if v.is(p.Addr()) {
			return true
		}
	}
	return false
}

// contains reports whether a is in a routed subnet of l.
func (l *leg) contains(a netip.Addr) bool {
	if linkLocal(a) {
		return false
	}
	for _, p := range l.Addresses {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (s source) compile() Program {
	c := compiler{source: s}
	for i := range c.legs {
		l := &c.legs[i]
		c.classify(l)
		c.fabric(l)
		c.own(l)
		c.answer(l)
		c.slowNetwork(l)
		c.connected(l)
		for p := range l.network.Ports() {
			c.deliver(l, &p)
		}
		c.rest(l)
		c.search(l)
		if l.meters != nil {
			for _, k := range []limit{limitEcho, limitTTL, limitResolution} {
				c.objects = append(c.objects, labelled{CookieOf(l.object(), k.role()), l.object()})
			}
		}
		if c.sendsLarge(l) && l.large != 0 {
			c.objects = append(c.objects, labelled{CookieOf(l.object(), countLarge.role()), l.object()})
		}
		if c.limitsUnknown(l) {
			c.objects = append(c.objects, labelled{CookieOf(l.object(), limitUnknown.role()), l.object()})
		}
	}
	for i := range c.router.Routes {
		c.extra(i, c.hops(&c.router.Routes[i]))
	}
	c.back(s.slowRoutes())
	c.guard()
	c.kernel()
	c.neighbours()
	c.drops()
	return Program{
		Flows:   ofproto.SetOf(c.flows),
		Groups:  s.groupEntries(),
		Meters:  s.meterEntries(),
		Missing: s.missing,
		Objects: Objects{sorted.Of[labelled, byCookie](c.objects)},
		source:  s,
	}
}

// A compiler emits the flows of one router.
type compiler struct {
	source
	flows   []ofproto.Flow
	objects []labelled
}

// about returns the router as an object.
func (c *compiler) about() routing.Object {
	return routing.Object{Kind: routing.KindRouter, ID: c.router.ID}
}

// toKernel returns instructions that send a packet from l's patch port to the kernel. If the
// router has no namespace, they drop it.
func (c *compiler) toKernel(l *leg) ofproto.Instructions {
	if l.tap == 0 {
		return ofproto.Instructions{}
	}
	return ofproto.ApplyActions(ofproto.Output{Port: l.tap})
}

// drops emits a final flow for each table that drops and counts all packets without a match.
func (c *compiler) drops() {
	for t := tableClassify; t <= tableTap; t++ {
		c.emit(c.about(), RoleDrop, t, prioDrop, ofproto.Match{}, ofproto.Instructions{})
	}
}

func (c *compiler) emit(about routing.Object, role Role, t ofproto.TableID, prio uint16, m ofproto.Match, do ofproto.Instructions) {
	cookie := CookieOf(about, role)
	c.objects = append(c.objects, labelled{cookie, about})
	c.flows = append(c.flows, ofproto.Flow{
		FlowKey: ofproto.FlowKey{Table: t, Priority: prio, Match: m},
		Cookie:  cookie,
		Do:      do,
	})
}
