package controller

import (
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// describer returns a function that describes a flow, group or meter of p by its object.
func describer(p compile.Program) func(ofproto.Mod) string {
	return func(m ofproto.Mod) string {
		switch m := m.(type) {
		case ofproto.GroupMod:
			if o, ok := p.OfGroup(m.Entry.ID); ok {
				return "group of " + o.String()
			}
			return fmt.Sprintf("group %#x", uint32(m.Entry.ID))
		case ofproto.MeterMod:
			if o, role, ok := p.OfMeter(m.Entry.ID); ok {
				return "meter of " + role.Limits() + " of " + o.String()
			}
			return fmt.Sprintf("meter %#x", uint32(m.Entry.ID))
		}
		if o, ok := objectOf(p, m); ok {
			return o.String()
		}
		return "unknown flow"
	}
}

// objectOf returns the object of a flow of p.
func objectOf(p compile.Program, m ofproto.Mod) (routing.Object, bool) {
	f, ok := m.(ofproto.FlowMod)
	if !ok {
		return routing.Object{}, false
	}
	return p.Objects.Get(f.Flow.Cookie)
}
