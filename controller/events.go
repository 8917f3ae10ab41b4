package controller

import (
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// An event is one of the types below. [Controller.handle] handles it. An event with a channel
// is a request, see [request]; the channel has capacity 1.
type event any

type (
	// intentChanged: the ledger has a new intent.
	intentChanged struct {
		intent  *ledger.Intent
		touched []string // routers
	}
	// leadTaken: this daemon leads from now on.
	leadTaken struct{ answer chan<- struct{} }

	// lifecyclePassed: the lifecycle has finished a pass.
	lifecyclePassed struct{ report lifecycle.Report }
	// kernelRead: the rules and routes of a router's namespace have been read.
	kernelRead struct {
		router string
		kernel *compile.Kernel
	}
	// neighboursRead: the resolved neighbours of a router's namespace have been read.
	neighboursRead struct {
		router   string
		resolved []netip.Addr
	}
	// macsMoved: MAC addresses of a router changed while no daemon ran.
	macsMoved struct {
		router string
		moved  []compile.Announcement
	}

	// switchArrived: a switch has been identified.
	switchArrived struct {
		session *session
		answer  chan<- arrival
	}
	// switchProbed: the switch of a session that stood by has been probed.
	switchProbed struct {
		session *session
		can     compile.Capabilities
		places  []ofproto.FlowStats
		answer  chan<- struct{}
	}
	// portsChanged: the ports of a session's switch have changed.
	portsChanged struct{ session *session }
	// configRead: the configuration of a session's switch has been read.
	configRead struct {
		session *session
		blocked []string // the settings that block packets
	}
	// switchReported: a reconciler reports the state of its switch.
	switchReported struct {
		session *session
		router  string
		report  reconcile.Report
	}
	// claimRefused: a connection claimed the bridge of another session.
	claimRefused struct{ session *session }
	// countersRefused: implausible counters of a router were not added.
	countersRefused struct {
		router string
		jump   *counters.Jump
	}
	// sessionEnded: the connection of a switch has ended.
	sessionEnded struct{ session *session }

	// messageReceived: a host sent a message through a tunnel to the session of the fabric bridge.
	messageReceived struct {
		session *session
		packet  ofproto.PacketIn
	}

	// claimsStored: claims of hosts have changed in the store that hosts share.
	claimsStored struct {
		all     hosts.Stored // replaces all claims if it is not nil
		changes []hosts.StoredChange
	}

	// probesRequested: probe all other hosts.
	probesRequested struct {
		answer chan<- map[string]doctor.Probes
	}

	// waitBegun: a client waits until a write is applied.
	waitBegun struct{ waiter *waiter }
	// waitEnded: a wait has ended early. The answer lists the changes that are still pending.
	waitEnded struct {
		waiter *waiter
		answer chan<- []Pending
	}
	// logRequested: log the OpenFlow messages of a router. "" stops the log.
	logRequested struct {
		router string
		answer chan<- error
	}

	// query reads from the world and changes nothing.
	query func(*world)
)

// handle handles an event. It runs on the world's goroutine.
func (c *Controller) handle(w *world, e event) {
	switch e := e.(type) {
	case intentChanged:
		c.setIntent(w, e.intent, e.touched)
	case leadTaken:
		w.takeOver()
		c.retire(w, nil)
		e.answer <- struct{}{}
	case lifecyclePassed:
		c.lifecyclePassed(w, e.report)
	case kernelRead:
		w.kernelRead(e.router, e.kernel)
	case neighboursRead:
		w.neighboursRead(e.router, e.resolved)
	case macsMoved:
		c.macsMoved(w, e.router, e.moved)
	case switchArrived:
		e.answer <- c.join(w, e.session)
	case switchProbed:
		c.switchProbed(w, e.session, e.can, e.places)
		e.answer <- struct{}{}
	case portsChanged:
		w.touch(e.session)
	case configRead:
		w.configRead(e.session, e.blocked)
	case switchReported:
		c.switchReported(w, e.session, e.router, e.report)
	case claimRefused:
		w.claimRefused(e.session)
	case countersRefused:
		w.countersRefused(e.router, e.jump)
	case sessionEnded:
		c.leave(w, e.session)
	case messageReceived:
		c.messageReceived(w, e.session, e.packet)
	case claimsStored:
		c.claimsStored(w, e.all, e.changes)
	case probesRequested:
		w.startProbes(e.answer)
	case waitBegun:
		w.waiters[e.waiter], w.moved = true, true
	case waitEnded:
		delete(w.waiters, e.waiter)
		e.answer <- c.pending(w, e.waiter)
	case logRequested:
		e.answer <- c.logMessages(w, e.router)
	case query:
		e(w)
	default:
		panic(fmt.Sprintf("unknown event %T", e))
	}
}
