package compile

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Meters limit what a machine can have the switch or the kernel do (see
// [routing.Router.AnswerRate]). Each kind has its own, so that none is at the expense of
// another; and of requests for MAC addresses, without which a machine can say
// nothing at all, each machine has its own. As a switch has a limited number of
// meters, an interface has no more than its share for machines: those that are
// declared have one each if they are no more than that. All others share meters
// by the last bits of their MAC addresses.
const (
	machineMeters = 128 // for the machines of all interfaces of a router
	mostMachines  = 64  // of one interface
	strangers     = 8   // for machines that are not declared
)

// A limit is a kind of meter.
type limit uint8

const (
	limitEcho limit = iota
	limitTTL
	limitUnknown
	limitResolution // and, from there on, those for machines that are not declared, and then those for others
)

// role returns that of what meters of kind k have dropped.
func (k limit) role() Role {
	switch k {
	case limitEcho:
		return RoleLimitedEcho
	case limitTTL:
		return RoleLimitedTTL
	case limitUnknown:
		return RoleLimitedUnknown
	}
	return RoleLimitedResolution
}

// limits are the numbers of the meters of a router.
type limits struct {
	machines int                 // meters for those of each interface, a power of two
	strange  int                 // and for others there; likewise
	ids      [][]ofproto.MeterID // by interface and kind
	of       map[ofproto.MeterID]metered
}

// metered is what a meter limits.
type metered struct {
	iface int
	kind  limit
}

// limitsOf returns the numbers of the meters that r may have. They depend on the
// IDs of the interfaces, and their number.
func limitsOf(r *routing.Router) *limits {
	n := &limits{machines: mostMachines, of: make(map[ofproto.MeterID]metered)}
	for n.machines > 1 && n.machines*len(r.Interfaces) > machineMeters {
		n.machines /= 2
	}
	n.strange = min(n.machines, strangers)
	each := int(limitResolution) + n.machines + n.strange
	metered := min(len(r.Interfaces), int(meterProbe-firstMeter)/each) // the others have no meters
	n.ids = make([][]ofproto.MeterID, len(r.Interfaces))
	ids := numbers(metered*each, func(i int) string {
		k := i % each
		if first := int(limitResolution); k >= first+n.strange { // names that do not depend on how many there are
			k += strangers - n.strange
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

// meter returns l's meter of a kind; 0: there is no limit.
func (l *leg) meter(k limit) ofproto.MeterID {
	ids := l.meters
	if k == limitUnknown {
		ids = l.ids
	}
	if ids == nil {
		return 0
	}
	return ids[k]
}

// limited emits a flow of l that does what do says, as often as the meter of a kind
// allows, and below it one without the meter, for a switch that refuses that.
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

// resolves reports whether requests for the MAC address of l are answered.
func (c *compiler) resolves(l *leg) bool { return c.answersARP() && l.has(v4) || c.answersND(l) }

// expires reports whether packets of l whose TTL has run out are told apart, and
// go to the kernel.
func (c *compiler) expires(l *leg) bool { return c.can.Has(CanMatchTTL) && l.tap != 0 }

// limit emits what limits how many answers to requests for its MAC address each
// machine on l gets. The answers are ready but for where they come from.
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
	c.emit(l.object(), RoleLimit, tableLimit, prioNoMeter, ofproto.MatchOf(in), ofproto.Do(on)) // if the switch refuses a meter
}

// ownMeters reports whether each declared machine on l has a meter of its own.
func (c *compiler) ownMeters(l *leg) bool { return l.network.Len() <= c.limits.machines }

// buckets returns the meters, of those for machines of l, that machines without
// their own share by the last bits of their MAC addresses: n from first on.
func (c *compiler) buckets(l *leg) (first, n int) {
	if c.ownMeters(l) {
		return 0, c.limits.strange
	}
	return c.limits.strange, c.limits.machines
}

// slots returns the machines on l that have a meter of their own, and which: if it
// is free, that of the last bits of their MAC address.
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

// rateMeter drops what is more than rate packets a second, after a second in
// which there were none.
func rateMeter(id ofproto.MeterID, rate uint32) ofproto.MeterEntry {
	return ofproto.MeterEntry{ID: id, Flags: ofproto.MeterPktps | ofproto.MeterBurst | ofproto.MeterStatistics,
		Bands: []ofproto.Band{{Type: ofproto.BandDrop, Rate: rate, Burst: rate}}}
}
