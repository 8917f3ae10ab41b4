package compile

import (
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Groups and meters have no cookies, so ours are recognized by their numbers. All our numbers
// are in these ranges. Other programs should use numbers outside of these ranges.
const (
	groupMark     ofproto.GroupID = 0xfd << 24
	groupMarkMask ofproto.GroupID = 0xff << 24
	firstMeter    ofproto.MeterID = 0x4000
	lastMeter     ofproto.MeterID = 0x7fff
)

// OursGroup reports whether a group with this ID is ours.
func OursGroup(id ofproto.GroupID) bool { return id&groupMarkMask == groupMark }

// OursMeter reports whether a meter with this ID is ours.
func OursMeter(id ofproto.MeterID) bool { return firstMeter <= id && id <= lastMeter }

// OfGroup returns the route that the group called id of p is for.
func (p Program) OfGroup(id ofproto.GroupID) (routing.Object, bool) {
	for i, g := range p.source.groups {
		if g == id {
			return routing.Object{Kind: routing.KindRoute, ID: p.source.router.Routes[i].Destination.String()}, true
		}
	}
	return routing.Object{}, false
}

// OfMeter returns the interface, network or host of a meter of p, and the role of the packets
// that the meter drops. A meter with [RoleLarger] only counts packets.
func (p Program) OfMeter(id ofproto.MeterID) (routing.Object, Role, bool) {
	if p.fabric != nil {
		return p.fabric.ofMeter(id)
	}
	if p.source.limits == nil {
		return routing.Object{}, 0, false
	}
	m, ok := p.source.limits.of[id]
	if !ok {
		return routing.Object{}, 0, false
	}
	f := &p.source.router.Interfaces[m.iface]
	return routing.Object{Kind: routing.KindInterface, ID: f.ID, Interface: f.ID}, m.kind.role(), true
}

// SameTables reports whether p and q have the same groups and meters.
func (p Program) SameTables(q Program) bool {
	return slices.EqualFunc(p.Groups, q.Groups, ofproto.GroupEntry.Equal) &&
		slices.EqualFunc(p.Meters, q.Meters, ofproto.MeterEntry.Equal)
}
