package controller

import (
	"context"
	"fmt"
	"maps"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/hostile"
)

func status(reason ofproto.PortReason, no ofproto.PortNo, name string) ofproto.PortStatus {
	return ofproto.PortStatus{Reason: reason, Port: ofproto.Port{No: no, Name: name}}
}

// With port status messages before, during and after a description, the port table has the
// switch's ports, without the LOCAL port.
func TestPortTable(t *testing.T) {
	pt := newPortTable()
	pt.update(status(ofproto.PortAdded, 8, "before the request"))
	pt.expect()
	pt.update(status(ofproto.PortAdded, 1, "early"))
	pt.update(status(ofproto.PortDeleted, 9, "gone before"))
	pt.describe([]ofproto.Port{{No: 1, Name: "early"}, {No: 2, Name: "two"}, {No: 9, Name: "gone before"}, {No: ofproto.PortLocal, Name: "br-x"}})
	pt.described()
	for _, step := range []struct {
		s    ofproto.PortStatus
		want compile.Ports
	}{
		{status(ofproto.PortAdded, 3, "three"), compile.Ports{"early": 1, "two": 2, "three": 3}},
		{status(ofproto.PortDeleted, 2, "two"), compile.Ports{"early": 1, "three": 3}},
		{status(ofproto.PortAdded, 7, "two"), compile.Ports{"early": 1, "three": 3, "two": 7}}, // renumbered
		{status(ofproto.PortModified, 3, "drei"), compile.Ports{"early": 1, "drei": 3, "two": 7}},
	} {
		pt.update(step.s)
		if got := pt.numbers(); !maps.Equal(got, step.want) {
			t.Errorf("after %+v: %v, want %v", step.s, got, step.want)
		}
	}
}

// A switch that identifies itself but leaves a later request unanswered is disconnected.
func TestIntroductionIsBounded(t *testing.T) {
	isRequest := func(body ofproto.MultipartBody, message ofproto.Message) bool {
		m, ok := message.(ofproto.Multipart)
		return ok && reflect.TypeOf(m.Body) == reflect.TypeOf(body)
	}
	for name, silent := range map[string]hostile.Reply{
		"flow monitor": func(_ net.Conn, _ uint32, m ofproto.Message) bool { return isRequest(ofproto.FlowMonitorRequest{}, m) },
		"barrier of the probes": func(_ net.Conn, _ uint32, m ofproto.Message) bool {
			_, barrier := m.(ofproto.BarrierRequest)
			return barrier
		},
		"port description": func(_ net.Conn, _ uint32, m ofproto.Message) bool { return isRequest(ofproto.PortDescRequest{}, m) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Config{}, nopRecorder{}, zap.NewNop())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var g sync.WaitGroup
				defer g.Wait()
				defer cancel()
				r := routing.Router{ID: "r1", Bridge: routing.Bridge{Managed: true}}
				g.Go(func() {
					c.Run(ctx, &ledger.Intent{Complete: true, Whole: true, Index: routing.NewIndex(&routing.Model{Routers: []routing.Router{r}})})
				})
				synctest.Wait()
				ours, theirs := net.Pipe()
				g.Go(func() { hostile.Switch(r.BridgeName(), nil, silent)(theirs); theirs.Close() })
				began := time.Now()
				c.serve(ctx, ours, origin{})
				if took := time.Since(began); took > introductionTimeout {
					t.Errorf("ended after %v", took)
				}
				if reported := c.limits.recent(time.Now()); len(reported) != 1 || reported[0].Limit != "openflow_disconnects handshake_timeout" {
					t.Errorf("reported: %+v", reported)
				}
			})
		})
	}
}

// Each bridge may have a few ports that its router does not use. All bridges share the
// memory for more unused ports, and a deleted port returns its memory. Used ports always
// fit.
func TestPortsShareMemory(t *testing.T) {
	const most = 1000
	short := make(map[string]int)
	budget := ofconn.NewBudget(most*portBytes, func(bridge string) { short[bridge]++ })
	table := func(bridge string, ports int) *portTable {
		pt := newPortTable()
		pt.share = budget.Share(bridge)
		pt.use([]string{"patch", "tap"})
		pt.expect()
		for i := range ports {
			pt.describe([]ofproto.Port{{No: ofproto.PortNo(100 + i), Name: fmt.Sprint("p", i)}})
		}
		pt.describe([]ofproto.Port{{No: 1, Name: "patch"}, {No: 2, Name: "tap"}})
		pt.described()
		return &pt
	}
	large := table("large", most)
	if n := len(large.numbers()); n != most+2 || large.partial {
		t.Errorf("a large bridge has %d ports, want all", n)
	}
	var liars []*portTable
	for i := range 50 {
		pt := table(fmt.Sprint("liar", i), 2*most)
		for no := range ofproto.PortNo(2 * most) { // ports with the name of a used port
			pt.update(status(ofproto.PortAdded, 10_000+no, "patch"))
		}
		liars = append(liars, pt)
	}
	held := 0
	for _, pt := range liars {
		held += len(pt.byNo)
	}
	if held > most+50*(ownPorts+4) {
		t.Errorf("the bridges with too many ports keep %d of them", held)
	}
	late := table("late", ownPorts+1)
	if ports := late.numbers(); ports["patch"] != 1 || ports["tap"] != 2 || ports["p0"] != 100 || !late.partial {
		t.Errorf("a bridge that connects when the memory is used up has the ports %v", ports)
	}
	if short["large"] != 0 || short["liar0"] == 0 || short["late"] != 1 {
		t.Errorf("reports of used up memory by bridge: %v", short)
	}
	late.use([]string{fmt.Sprint("p", ownPorts), "patch"})
	select {
	case <-late.wants:
	default:
		t.Error("a port that the router has begun to use is not requested from the switch")
	}
	for _, pt := range append(liars, large) {
		for no := range pt.byNo {
			pt.update(status(ofproto.PortDeleted, no, ""))
		}
		if n := len(pt.byNo); n > 0 {
			t.Errorf("%d ports are left", n)
		}
	}
	if table("again", most).partial {
		t.Error("memory was not given back")
	}
}
