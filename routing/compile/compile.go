// Package compile translates a router of a [routing.Model] into the flows, groups
// and meters that its bridge should hold. It is pure: [Compile] is a function of
// the [routing.Index] and of [Facts], which have been observed of the bridge and
// of the router's namespace, and [Recompile] returns the same in a time for what
// has changed.
package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Program is what one routing bridge should hold. It is immutable.
type Program struct {
	Flows ofproto.Set
	// Groups and Meters are what Flows refer to, by ID.
	Groups []ofproto.GroupEntry
	Meters []ofproto.MeterEntry
	// Missing names the ports that the bridge does not have yet. What needs
	// them is left out of Flows.
	Missing []string
	// Objects say which object of the Model each cookie in Flows stands for.
	Objects Objects

	source source
}

// The pipeline. Flows may only go on to a later table. See docs/flow-program.md for
// the whole program in words.
const (
	tableClassify ofproto.TableID = iota // by ingress port: answer, hand to the kernel, or route
	tableLocal                           // what is for the router itself, or must not be routed
	tableRoute                           // by destination network
	tableDeliver                         // by destination address
	tableLimit                           // by sender: not too many answers
	tableAnswer                          // by ingress port: send an answer back
	tableKernel                          // by ingress port: hand to the kernel
	tableUnknown                         // by destination: not too many for unknown neighbours
	tableTap                             // by ingress port: hand what may pass to the kernel
)

// The metadata of a packet that is routed.
const (
	metaScope uint64 = 0xffff           // the number of its address scope
	metaNear  uint64 = 1 << 16          // its source is in a subnet of the interface that it came in by
	metaRoute uint64 = 0xffffffff << 32 // 1 + the index of the extra route that it takes
)

// tooBig is the bit that says that a packet is larger than the MTU of the network
// that it goes to.
var tooBig = ofproto.Bit(ofproto.FieldReg0, 0)

const prioDrop = 0 // in each table

// Compile translates router r of the indexed Model into the flows that its
// bridge should hold. The result depends only on the arguments: compiling
// twice gives equal Programs.
func Compile(x *routing.Index, r *routing.Router, facts Facts) Program {
	return sourceOf(x, r, facts, source{}).compile()
}

// A source is all that a [Program] depends on.
type source struct {
	router  *routing.Router
	can     Capabilities
	kernel  *Kernel
	known   *Neighbours
	legs    []leg
	missing []string

	// These follow from the others.
	limits   *limits
	groups   []ofproto.GroupID // by route
	min, max int               // MTUs of the legs' networks
}

// sourceOf returns what the Program of r depends on. prev may be that of an
// earlier one, from which is taken what takes long.
func sourceOf(x *routing.Index, r *routing.Router, facts Facts, prev source) source {
	s := source{router: r, can: facts.Can, kernel: facts.Kernel, known: facts.Neighbours, limits: prev.limits, groups: prev.groups}
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
		l.ids = s.limits.ids[i]
		if r.AnswerRate > 0 && s.can.Has(CanMeter) {
			l.meters = l.ids
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

// A leg is an interface that is up and whose port numbers are known.
type leg struct {
	*routing.Interface
	network    *routing.Members
	patch, tap ofproto.PortNo    // tap is 0 where there is no fallback
	ids        []ofproto.MeterID // of meters, by kind; nil: there are too many interfaces
	meters     []ofproto.MeterID // of answers, likewise; nil: there is no limit
	scope      [2]uint64         // numbers of its address scopes, by family; 0: there is one only
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

// contains reports whether a is in a subnet of l that is routed.
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

// A compiler emits flows of one router.
type compiler struct {
	source
	flows   []ofproto.Flow
	objects []labelled
}

// about is the router itself.
func (c *compiler) about() routing.Object {
	return routing.Object{Kind: routing.KindRouter, ID: c.router.ID}
}

// toKernel hands a packet that came in by l's patch port to the kernel, or
// drops it where the router has no namespace.
func (c *compiler) toKernel(l *leg) ofproto.Instructions {
	if l.tap == 0 {
		return ofproto.Instructions{}
	}
	return ofproto.ApplyActions(ofproto.Output{Port: l.tap})
}

// drops makes every table end in an explicit drop, so that what is dropped is
// counted.
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
