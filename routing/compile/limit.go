package compile

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Meters limit the work of the switch and the kernel for a machine (see
// [routing.Router.AnswerRate]). Each kind of work has its own meter, so that one kind does not
// suppress another. Requests for MAC addresses even have a meter for each machine, because a
// machine without answers cannot send. As a switch has a limited number of meters, an
// interface has a limited share of them. If an interface has enough meters for all its
// declared machines, each machine has its own. All other machines share meters by the last
// bits of their MAC addresses.
const (
	machineMeters = 128 // number of meters for the machines of all interfaces of a router
	mostMachines  = 64  // of one interface
	strangers     = 8   // number of meters for machines that are not declared
)

// A limit is a kind of meter.
type limit uint8

const (
	limitEcho limit = iota
	limitTTL
	limitUnknown
	countLarge      // counts but does not limit, see [leg.large]
	limitResolution // the first kind of the machines' meters: those of undeclared machines, then those of declared machines
)

// role returns the role of the packets that meters of kind k drop. For countLarge it is the
// role of the packets that the meter counts.
func (k limit) role() Role {
	switch k {
	case limitEcho:
		return RoleLimitedEcho
	case limitTTL:
		return RoleLimitedTTL
	case limitUnknown:
		return RoleLimitedUnknown
	case countLarge:
		return RoleLarger
	}
	return RoleLimitedResolution
}

// limits are the meter numbers of a router.
type limits struct {
	machines int                 // meters for the machines of each interface, a power of two
	strange  int                 // meters for other machines of each interface, a power of two
	ids      [][]ofproto.MeterID // by interface and kind
	of       map[ofproto.MeterID]metered
}

// metered identifies the packets that a meter limits.
type metered struct {
	iface int
	kind  limit
}

// limitsOf returns the meter numbers for r. They depend on the IDs and the number of its
// interfaces.
func limitsOf(r *routing.Router) *limits {
	n := &limits{machines: mostMachines, of: make(map[ofproto.MeterID]metered)}
	for n.machines > 1 && n.machines*len(r.Interfaces) > machineMeters {
		n.machines /= 2
	}
	n.strange = min(n.machines, strangers)
	each := int(limitResolution) + n.machines + n.strange
	metered := min(len(r.Interfaces), int(meterProbe-firstMeter)/each) // the other interfaces have no meters
	n.ids = make([][]ofproto.MeterID, len(r.Interfaces))
	ids := numbers(metered*each, func(i int) string {
		k := i % each
		if k == int(countLarge) {
			return r.Interfaces[i/each].ID + "\x00large"
		}
		if first := int(limitResolution); k >= first+n.strange { // names that do not depend on n.strange
			k += strangers - n.strange
		}
		if k > int(countLarge) {
			k-- // the numbers skip countLarge, which has a name of its own
		}
		return r.Interfaces[i/each].ID + "\x00" + strconv.Itoa(k)
	}, uint32(lastMeter-firstMeter), uint32(meterProbe-firstMeter))
	for i, id := range ids {
		n.add(i/each, limit(i%each), firstMeter+ofproto.MeterID(id))
	}
	return n
}

func (n *limits) add(iface int, kind limit, id ofproto.MeterID) {
	n.ids[iface] = append(n.ids[iface], id)
	n.of[id] = metered{iface, kind}
}

// meter returns l's meter of a kind, or 0 if there is no limit.
func (l *leg) meter(k limit) ofproto.MeterID {
	ids := l.meters
	switch k {
	case limitUnknown:
		ids = l.ids
	case countLarge:
		return l.large
	}
	if ids == nil {
		return 0
	}
	return ids[k]
}

// limited emits two flows of l with instructions do. The first flow uses l's
// meter of kind k. The second flow has a lower priority and no meter, and is
// used if the switch refuses the first.
func (c *compiler) limited(l *leg, k limit, role Role, t ofproto.TableID, prio uint16, m ofproto.Match, do ...ofproto.Instruction) {
	if id := l.meter(k); id != 0 {
		c.emit(l.object(), role, t, prio, m, metering(id, do...))
		prio--
	}
	c.emit(l.object(), role, t, prio, m, ofproto.Do(do...))
}

func metering(id ofproto.MeterID, do ...ofproto.Instruction) ofproto.Instructions {
	return ofproto.Do(append([]ofproto.Instruction{ofproto.Meter{ID: id}}, do...)...)
}

// Priorities in tableLimit.
const (
	prioMachine = 30
	prioBucket  = 20
	prioNoMeter = 10
)

// resolves reports whether flows answer requests for the MAC address of l.
func (c *compiler) resolves(l *leg) bool { return c.answersARP() && l.has(v4) || c.answersND(l) }

// expires reports whether packets from l with expired TTL are recognized and sent to the
// kernel.
func (c *compiler) expires(l *leg) bool { return c.can.Has(CanMatchTTL) && l.tap != 0 }

// limit emits the flows that limit, for each machine, answers to requests for l's MAC address.
// At this point of the pipeline, the answer is complete except for its source.
func (c *compiler) limit(l *leg) {
	if l.meters == nil || !c.resolves(l) {
		return
	}
	in, on := ofproto.InPort(l.patch), ofproto.Goto{Table: tableAnswer}
	for mac, slot := range c.slots(l) {
		c.emit(l.object(), RoleLimit, tableLimit, prioMachine, ofproto.MatchOf(in, ofproto.EthSrc(mac)), metering(l.meter(limitResolution+limit(c.limits.strange+slot)), on))
	}
	first, n := c.buckets(l)
	for b := range n {
		m := ofproto.MatchOf(in, ofproto.EthSrcBits(ofproto.MAC{5: byte(b)}, ofproto.MAC{5: byte(n - 1)}))
		c.emit(l.object(), RoleLimit, tableLimit, prioBucket, m, metering(l.meter(limitResolution+limit(first+b)), on))
	}
	c.emit(l.object(), RoleLimit, tableLimit, prioNoMeter, ofproto.MatchOf(in), ofproto.Do(on)) // passes requests of machines with a meter that the switch refused
}

// ownMeters reports whether each declared machine on l has its own meter.
func (c *compiler) ownMeters(l *leg) bool { return l.network.Len() <= c.limits.machines }

// Machines without their own meter share n meters of l with consecutive numbers. buckets returns
// the first number and n.
func (c *compiler) buckets(l *leg) (first, n int) {
	if c.ownMeters(l) {
		return 0, c.limits.strange
	}
	return c.limits.strange, c.limits.machines
}

// slots returns the index of the meter for each machine on l that has its own meter. The index
// is given by the last bits of the machine's MAC address if it is free.
func (c *compiler) slots(l *leg) map[ofproto.MAC]int {
	if !c.ownMeters(l) {
		return nil
	}
	out, taken := make(map[ofproto.MAC]int), make([]bool, c.limits.machines)
	for p := range l.network.Ports() {
		if _, has := out[p.MAC]; has {
			continue
		}
		slot := int(p.MAC[5]) % len(taken)
		for taken[slot] {
			slot = (slot + 1) % len(taken)
		}
		out[p.MAC], taken[slot] = slot, true
	}
	return out
}

// meterEntries returns the meters that flows use.
func (s source) meterEntries() (out []ofproto.MeterEntry) {
	c := compiler{source: s}
	for i := range s.legs {
		l := &s.legs[i]
		if c.limitsUnknown(l) {
			out = append(out, rateMeter(l.meter(limitUnknown), uint32(s.router.UnknownRate)))
		}
		if c.sendsLarge(l) && l.large != 0 {
			out = append(out, rateMeter(l.large, largeRate))
		}
		if l.meters == nil {
			continue
		}
		use := func(k limit) { out = append(out, rateMeter(l.meter(k), uint32(s.router.AnswerRate))) }
		if c.answersEcho() {
			use(limitEcho)
		}
		if c.expires(l) {
			use(limitTTL)
		}
		if !c.resolves(l) {
			continue
		}
		for _, slot := range c.slots(l) {
			use(limitResolution + limit(c.limits.strange+slot))
		}
		first, n := c.buckets(l)
		for b := range n {
			use(limitResolution + limit(first+b))
		}
	}
	slices.SortFunc(out, func(a, b ofproto.MeterEntry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// largeRate is a number of packets a second that no tap can accept. So a meter with this rate
// counts packets and never drops one.
const largeRate = 1_000_000

// rateMeter returns a meter that drops packets beyond rate per second. After a second without
// packets it allows a burst of rate packets.
func rateMeter(id ofproto.MeterID, rate uint32) ofproto.MeterEntry {
	return ofproto.MeterEntry{ID: id, Flags: ofproto.MeterPktps | ofproto.MeterBurst | ofproto.MeterStatistics,
		Bands: []ofproto.Band{{Type: ofproto.BandDrop, Rate: rate, Burst: rate}}}
}
