package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Tally counts packets and their bytes.
type Tally struct{ Packets, Bytes uint64 }

func (t *Tally) add(u Tally) {
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}

// InterfaceCounters are what the switch counted for one router interface. They
// never go back while the daemon runs, also when flows are installed anew.
type InterfaceCounters struct {
	Router, Interface string
	// ByRole counts the packets that hit the interface's flows of each role;
	// packets that are routed out of it have [routing.RoleDeliver].
	ByRole map[routing.Role]Tally
}

const (
	countersTimeout = 5 * time.Second
	countersMaxAge  = time.Second // readings that are younger are used again
)

// counters turn the counters of flows, which come and go, into sums that only
// grow.
type counters struct {
	file    string     // keeps them while no daemon runs; "" means that nothing does
	mu      sync.Mutex // held while the switches are read: one reading at a time
	taken   time.Time
	routers map[string]*routerCounters
}

type routerCounters struct {
	last map[ofproto.FlowKey]counted // each flow of ours, at the last reading
	sums sums
	kept *keptCounters // of the daemon before, until the first reading
}

// sums are by interface and role.
type sums map[string]map[routing.Role]Tally

func (s sums) add(iface string, role routing.Role, t Tally) {
	byRole := s[iface]
	if byRole == nil {
		byRole = make(map[routing.Role]Tally)
		s[iface] = byRole
	}
	sum := byRole[role]
	sum.add(t)
	byRole[role] = sum
}

// Counters reads the counters of all connected switches. The counters of a
// switch that does not answer are those of the last reading.
func (c *Controller) Counters(ctx context.Context) ([]InterfaceCounters, error) {
	type source struct {
		router  *routing.Router
		session *session
		program routing.Program
	}
	var sources []source
	err := c.do(ctx, func(w *world) {
		for _, st := range w.sorted() {
			s := st.session
			if st.gen == 0 {
				s = nil // it is not known yet what its flows are for
			}
			sources = append(sources, source{st.router, s, st.program})
		}
	})
	if err != nil {
		return nil, err
	}
	t := &c.counters
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := time.Since(t.taken) < countersMaxAge
	stats := make([][]ofproto.FlowStats, len(sources))
	var reads sync.WaitGroup
	for i, src := range sources {
		if fresh || src.session == nil {
			continue
		}
		reads.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, countersTimeout)
			defer cancel()
			var err error
			stats[i], err = src.session.conn.Flows(ctx, ofproto.AllFlows())
			if err == nil {
				var limited []ofproto.FlowStats
				limited, err = src.session.limited(ctx, src.program)
				stats[i] = append(stats[i], limited...)
			}
			if err != nil {
				stats[i] = nil // half a reading would be counted twice the next time
				c.log.Debug("could not read counters", zap.String("router", src.router.ID), zap.Error(err))
			}
		})
	}
	reads.Wait()
	old := t.routers
	if old == nil {
		old = c.loadCounters()
	}
	t.routers = make(map[string]*routerCounters, len(sources))
	var out []InterfaceCounters
	read := false
	for i, src := range sources {
		rc := old[src.router.ID]
		if rc == nil {
			rc = &routerCounters{sums: make(sums)}
		}
		t.routers[src.router.ID] = rc
		if stats[i] != nil {
			rc.update(stats[i], src.program.Objects)
			t.taken = time.Now()
			read = true
		}
		for _, iface := range src.router.Interfaces {
			out = append(out, InterfaceCounters{src.router.ID, iface.ID, maps.Clone(rc.sums[iface.ID])})
		}
	}
	if read {
		c.keepCounters() // before anybody sees them
	}
	return out, nil
}

// meterTable is a table that no flow is in. What a meter has dropped is counted as
// if it were a flow there, with the meter's number as its priority.
const meterTable ofproto.TableID = 0xfe

// limited returns what the meters of a program have dropped.
func (s *session) limited(ctx context.Context, p routing.Program) (out []ofproto.FlowStats, err error) {
	if len(p.Meters) == 0 {
		return nil, nil
	}
	err = s.conn.Multipart(ctx, ofproto.MeterStatsRequest{Meter: ofproto.MeterAll}, func(body ofproto.MultipartBody) bool {
		stats, ok := body.(ofproto.MeterStatsReply)
		for _, m := range stats {
			iface, ours := p.OfMeter(m.Meter)
			if !ours {
				continue
			}
			fs := ofproto.FlowStats{Flow: ofproto.Flow{
				FlowKey: ofproto.FlowKey{Table: meterTable, Priority: uint16(m.Meter)}, Cookie: routing.CookieOf(iface, routing.RoleLimited),
			}}
			for _, b := range m.Bands {
				fs.Packets += b.Packets
				fs.Bytes += b.Bytes
			}
			out = append(out, fs)
		}
		return ok
	})
	return out, err
}

// update adds what was counted since the last reading. A flow that counts less
// than before was installed anew since.
func (rc *routerCounters) update(stats []ofproto.FlowStats, objects routing.Objects) {
	if rc.kept != nil {
		rc.sums = rc.kept.Before
	}
	last := make(map[ofproto.FlowKey]counted, len(stats))
	for i := range stats {
		fs := &stats[i]
		role, ours := routing.RoleOf(fs.Cookie)
		object, known := objects.Get(fs.Cookie)
		if !ours {
			continue
		}
		now := counted{Tally{fs.Packets, fs.Bytes}, object.Interface, role}
		last[fs.FlowKey] = now
		if before, ok := rc.last[fs.FlowKey]; ok && before.Packets <= now.Packets && before.Bytes <= now.Bytes {
			now.Packets -= before.Packets
			now.Bytes -= before.Bytes
		}
		if known {
			rc.sums.add(now.iface, role, now.Tally)
		}
	}
	rc.last = last
	if rc.kept != nil {
		rc.sums.raise(rc.kept.Told)
		rc.kept = nil
	}
}
