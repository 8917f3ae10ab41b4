package controller

import (
	"fmt"
	"maps"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

func status(reason ofproto.PortReason, no ofproto.PortNo, name string) ofproto.PortStatus {
	return ofproto.PortStatus{Reason: reason, Port: ofproto.Port{No: no, Name: name}}
}

// What is told of ports before, during and after their description adds up to
// the ports that there are, without the LOCAL port.
func TestPortTable(t *testing.T) {
	pt := newPortTable()
	pt.update(status(ofproto.PortAdded, 8, "before it was asked for"))
	pt.expect()
	pt.update(status(ofproto.PortAdded, 1, "early"))
	pt.update(status(ofproto.PortDeleted, 9, "gone before"))
	pt.describe([]ofproto.Port{{No: 1, Name: "early"}, {No: 2, Name: "two"}, {No: ofproto.PortLocal, Name: "br-x"}})
	if name, ok := pt.name(ofproto.PortLocal); name != "br-x" || !ok {
		t.Errorf("LOCAL is %q, %v", name, ok)
	}
	for _, step := range []struct {
		s    ofproto.PortStatus
		want routing.Ports
	}{
		{status(ofproto.PortAdded, 3, "three"), routing.Ports{"early": 1, "two": 2, "three": 3}},
		{status(ofproto.PortDeleted, 2, "two"), routing.Ports{"early": 1, "three": 3}},
		{status(ofproto.PortAdded, 7, "two"), routing.Ports{"early": 1, "three": 3, "two": 7}}, // renumbered
		{status(ofproto.PortModified, 3, "drei"), routing.Ports{"early": 1, "drei": 3, "two": 7}},
	} {
		pt.update(step.s)
		if got := pt.numbers(); !maps.Equal(got, step.want) {
			t.Errorf("after %+v: %v, want %v", step.s, got, step.want)
		}
	}
	for no := range ofproto.PortNo(2 * maxPorts) {
		pt.update(status(ofproto.PortAdded, 100+no, fmt.Sprint("p", no)))
	}
	if n := len(pt.byNo); n != maxPorts {
		t.Errorf("%d ports are remembered, want %d", n, maxPorts)
	}
}
