package controller

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// An announcement is sent several times, in case one is lost.
const (
	announceTimes = 3
	announcePause = 300 * time.Millisecond
)

// announcements is the queue of a session's announcements. Its methods are safe for concurrent
// use.
type announcements struct {
	mu   sync.Mutex
	left map[announced]*announcement
	wake chan struct{} // capacity 1: left has grown
}

type announced struct {
	port    string
	address netip.Addr
}

type announcement struct {
	compile.Announcement
	times int // number of times that it is still to be sent
}

func newAnnouncements() announcements {
	return announcements{left: make(map[announced]*announcement), wake: make(chan struct{}, 1)}
}

func (a *announcements) add(more []compile.Announcement) {
	if len(more) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range more {
		a.left[announced{m.Port, m.Address}] = &announcement{m, announceTimes}
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// next returns the announcements to send now, and whether any are left for later.
func (a *announcements) next() (now []compile.Announcement, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, m := range a.left {
		now = append(now, m.Announcement)
		if m.times--; m.times == 0 {
			delete(a.left, key)
		}
	}
	return now, len(a.left) > 0
}

// announce sends the session's announcements until ctx is done or sending fails.
func (s *session) announce(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.announcements.wake:
		case <-timer.C:
		}
		now, more := s.announcements.next()
		ports := s.ports.numbers()
		for _, a := range now {
			port, ok := ports[a.Port]
			if !ok {
				continue
			}
			out := ofproto.PacketOut{Buffer: ofproto.NoBuffer, InPort: ofproto.PortController,
				Actions: ofproto.ActionsOf(ofproto.Output{Port: port}), Data: string(a.Frame())}
			if err := s.conn.Send(ctx, out); err != nil {
				return fmt.Errorf("announce MAC address %v of %v on port %s: %w", a.MAC, a.Address, a.Port, err)
			}
		}
		if more {
			timer.Reset(announcePause)
		}
	}
}

// announceMoves queues announcements of changed MAC addresses. They are sent with the next
// program of each router. While standing by, announceMoves only records the addresses.
func (c *Controller) announceMoves(w *world) {
	for id, as := range w.owners.Update(w.intent.Index) {
		if st := w.routers[id]; st != nil && w.lead {
			st.announce = append(st.announce, as...)
			c.logAnnouncements(id, as)
		}
	}
}

func (c *Controller) logAnnouncements(router string, as []compile.Announcement) {
	by := make(map[string]string)
	for _, a := range as {
		by[a.Interface] = fmt.Sprintf("%s is now at %v", a.Interface, a.MAC)
	}
	c.log.Info("announcing MAC addresses of interfaces", zap.String("router", router),
		zap.String("interfaces", logging.Brief(slices.Sorted(maps.Values(by)))))
}

// macsMoved queues announcements of MAC addresses that changed while no daemon ran.
func (c *Controller) macsMoved(w *world, router string, as []compile.Announcement) {
	st := w.routers[router]
	if st == nil {
		return
	}
	c.logAnnouncements(router, as)
	switch n := len(st.wanted); {
	case n > 0: // send them with the flows that are being installed
		st.wanted[n-1].announce = append(st.wanted[n-1].announce, as...)
	case st.session != nil && st.applied.gen == st.gen:
		st.session.announcements.add(as)
	default:
		st.announce = append(st.announce, as...)
	}
}
