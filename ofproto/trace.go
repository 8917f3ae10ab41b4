package ofproto

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A Packet is a packet with the values that flows match on.
type Packet struct {
	// Headers has the values of the packet's fields, its metadata and registers. Fields that
	// are not in it are 0.
	Headers Match
	Size    int // bytes with the Ethernet header
}

// String returns the headers of p in the syntax of ovs-appctl ofproto/trace. It is the syntax
// of a match, except for names that several fields share. ofproto/trace reads tp_dst as the
// TCP field and icmp_type as the IPv4 field.
func (p Packet) String() string {
	s := p.Headers.String()
	for f := range p.Headers.Fields() {
		switch fi := &fields[f.id]; fi.name {
		case "tp_src", "tp_dst", "icmp_type", "icmp_code":
			s = strings.Replace(s, fi.name+"=", fi.set+"=", 1)
		}
	}
	return s
}

// A Step is a flow that a packet hits, and the flow's effect on the packet.
type Step struct {
	Flow Flow
	In   Packet   // the packet as it arrives at the flow
	Out  []Egress // the ports to which the flow sends the packet or copies of it, in order
	// If Group is not 0, it is a select group, and the packet leaves by one of the ports in Out. If
	// Group is 0, the packet leaves by all of them.
	Group GroupID
	// Expired means that a [DecTTL] found a TTL of 0 or 1. Then the switch skips the rest of the
	// flow. It sends the packet to the controller if the controller accepts such packets.
	Expired bool
}

// An Egress is the exit of a packet from a switch.
type Egress struct {
	Port   PortNo
	Packet Packet // the packet as it leaves
	Shares int    // the part of the group's total weight for this exit
}

// Trace returns the flows that a packet hits, in order. If no step has an [Egress], the switch
// drops the packet. This includes the case that the last flow continues in a table without a
// matching flow. Trace does not predict drops by a [Meter].
//
// The error names an action or instruction that Trace does not support. The steps before it
// are returned too.
func Trace(flows Set, groups []GroupEntry, p Packet) ([]Step, error) {
	t := tracer{groups: groups, size: p.Size}
	for f := range p.Headers.Fields() {
		t.now[f.id] = f.val
		t.has[f.id] = true
	}
	var steps []Step
	for table, more := TableID(0), true; more; {
		f, ok := t.lookup(flows, table)
		if !ok {
			break
		}
		t.step = Step{Flow: f, In: t.packet()}
		var err error
		table, more, err = t.execute(f.Do)
		steps = append(steps, t.step)
		if err != nil {
			return steps, fmt.Errorf("trace flow %v: %w", f, err)
		}
	}
	return steps, nil
}

// A tracer follows one packet.
type tracer struct {
	groups []GroupEntry
	size   int
	now    [numFields][16]byte // in network byte order, left aligned
	has    [numFields]bool
	step   Step // the current step
}

// packet returns the packet in its current state.
func (t *tracer) packet() Packet {
	var fs []Field
	for id := FieldRaw + 1; id < numFields; id++ {
		if t.has[id] && !fields[id].alias {
			fs = append(fs, exact(id, t.now[id][:fields[id].width]))
		}
	}
	return Packet{MatchOf(fs...), t.size}
}

// lookup returns the flow of a table that matches the packet.
func (t *tracer) lookup(flows Set, table TableID) (Flow, bool) {
	for f := range flows.table(table) {
		if t.matches(f.Match) {
			return f, true
		}
	}
	return Flow{}, false
}

// table returns the flows of a table in the order in which a switch considers
// them.
func (s Set) table(t TableID) iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		for f := range s.All() {
			if f.Table > t || f.Table == t && !yield(f) {
				return
			}
		}
	}
}

func (t *tracer) matches(m Match) bool {
	for f := range m.Fields() {
		if f.id == FieldRaw {
			return false // a field that is not in the table of fields
		}
		for i := range fields[f.id].width {
			if (t.now[f.id][i]^f.val[i])&f.mask[i] != 0 {
				return false
			}
		}
	}
	return true
}

// execute carries out instructions and returns the table in which the packet continues. If the
// packet does not continue, more is false.
func (t *tracer) execute(do Instructions) (next TableID, more bool, err error) {
	for in := range do.All() {
		switch in := in.(type) {
		case Meter, Clear:
		case Apply:
			if ends, err := t.apply(in.Actions); ends || err != nil {
				return 0, false, err
			}
		case WriteMetadata:
			meta, val, mask := &t.now[FieldMetadata], be64(in.Value), be64(in.Mask)
			for i := range val {
				meta[i] = meta[i]&^mask[i] | val[i]&mask[i]
			}
			t.has[FieldMetadata] = true
		case Goto:
			next, more = in.Table, true
		default:
			return 0, false, fmt.Errorf("instruction %v is not supported", in)
		}
	}
	return next, more, nil
}

// apply carries out actions. The result ends reports that the packet is not processed further.
func (t *tracer) apply(as Actions) (ends bool, err error) {
	for a := range as.All() {
		switch a := a.(type) {
		case Output:
			if err := t.output(a.Port); err != nil {
				return false, err
			}
		case SetField:
			if a.Field.id == FieldRaw || fields[a.Field.id].alias {
				return false, fmt.Errorf("action %v is not supported", a)
			}
			t.set(a.Field.id, a.Field.val, a.Field.mask)
		case Move:
			if fields[a.Src.Field].alias || fields[a.Dst.Field].alias {
				return false, fmt.Errorf("action %v is not supported", a)
			}
			for i := range int(a.Src.bits()) {
				t.setBit(a.Dst, i, t.bit(a.Src, i))
			}
		case Load:
			if fields[a.Dst.Field].alias {
				return false, fmt.Errorf("action %v is not supported", a)
			}
			for i := range int(a.Dst.bits()) {
				t.setBit(a.Dst, i, i < 64 && a.Value>>i&1 != 0)
			}
		case SetTTL:
			t.set(FieldIPTTL, [16]byte{a.TTL}, [16]byte{0xff})
		case DecTTL:
			if ttl := &t.now[FieldIPTTL][0]; *ttl > 1 {
				*ttl--
			} else {
				t.step.Expired = true
				return true, nil
			}
		case CheckLarger:
			t.setBit(a.Dst, 0, t.size > int(a.Len))
		case ToGroup:
			if err := t.group(a.ID); err != nil {
				return false, err
			}
		default:
			return false, fmt.Errorf("action %v is not supported", a)
		}
	}
	return false, nil
}

// output sends the packet to a port. It sends the packet back to its ingress port
// only for IN_PORT, as OpenFlow 1.3.5 §5.1.2 requires.
func (t *tracer) output(p PortNo) error {
	in := PortNo(binary.BigEndian.Uint32(t.now[FieldInPort][:]))
	switch {
	case p == PortInPort:
		p = in
	case p == in:
		return nil
	case p >= PortMax:
		return fmt.Errorf("output to %v is not supported", p)
	}
	t.step.Out = append(t.step.Out, Egress{Port: p, Packet: t.packet()})
	return nil
}

// group sends copies of the packet to a group. The packet itself does not change.
func (t *tracer) group(id GroupID) error {
	i := slices.IndexFunc(t.groups, func(g GroupEntry) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	g := &t.groups[i]
	if g.Type == GroupTypeFastFailover {
		return fmt.Errorf("group type %v is not supported", g.Type)
	}
	all := t.step.Out
	for _, b := range g.Buckets {
		inner := *t
		inner.step.Out = nil
		if _, err := inner.apply(b.Actions); err != nil {
			return err
		}
		for _, e := range inner.step.Out {
			e.Shares = int(b.Weight)
			same := func(o Egress) bool { return o.Port == e.Port && o.Packet == e.Packet }
			if i := slices.IndexFunc(all, same); g.Type == GroupTypeSelect && i >= 0 {
				all[i].Shares += e.Shares
				continue
			}
			all = append(all, e)
		}
	}
	t.step.Out = all
	if g.Type == GroupTypeSelect {
		t.step.Group = id
	}
	return nil
}

// set sets the bits of a field that are set in mask.
func (t *tracer) set(id FieldID, val, mask [16]byte) {
	for i := range fields[id].width {
		t.now[id][i] = t.now[id][i]&^mask[i] | val[i]&mask[i]
	}
	t.has[id] = true
}

// bit returns bit i of a subfield. Bit 0 is the lowest.
func (t *tracer) bit(s Subfield, i int) bool {
	at, in := s.at(i)
	return t.now[s.Field][at]&in != 0
}

func (t *tracer) setBit(s Subfield, i int, on bool) {
	var val, mask [16]byte
	at, in := s.at(i)
	mask[at] = in
	if on {
		val[at] = in
	}
	t.set(s.Field, val, mask)
}

// at returns the position of bit i of s, as the index of the byte in the field and the mask of
// the bit in that byte.
func (s Subfield) at(i int) (byteNo int, mask byte) {
	n := int(s.Offset) + i
	return fields[s.Field].width - 1 - n/8, 1 << (n % 8)
}
