package ofproto

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A Packet is what flows see of a packet.
type Packet struct {
	// Headers are the values of its fields, and of the metadata and registers.
	// What is not among them is 0.
	Headers Match
	Size    int // bytes with the Ethernet header
}

// String returns the headers of p as ovs-appctl ofproto/trace wants them: in the
// syntax of a match, but for names that several fields have there. It takes tp_dst
// for that of TCP, and icmp_type for that of IPv4.
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

// A Step is a flow that a packet hits, and what that does with it.
type Step struct {
	Flow Flow
	In   Packet   // as the flow finds it
	Out  []Egress // where the flow sends it, or copies of it, in this order
	// Group is the select group that Out comes from: the packet takes one of
	// these exits. 0: it takes all.
	Group GroupID
	// Expired says that a [DecTTL] found a TTL of 0 or 1: the packet went to the
	// controller, if that wants such, and what comes after was not done.
	Expired bool
}

// An Egress is a port by which a packet leaves a switch.
type Egress struct {
	Port   PortNo
	Packet Packet // as it leaves
	Shares int    // how much of a group's weight is for this exit
}

// Trace returns the flows that a packet hits one after the other. That nothing
// has an [Egress] means that the packet is dropped, also if the last flow goes on
// to a table in which no flow matches. That a [Meter] drops it is not foreseen.
//
// The error says which action or instruction is none that Trace can follow; the
// steps before it are returned too.
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
	step   Step // that is being taken
}

// packet returns the packet as it is now.
func (t *tracer) packet() Packet {
	var fs []Field
	for id := FieldRaw + 1; id < numFields; id++ {
		if t.has[id] && !fields[id].alias {
			fs = append(fs, exact(id, t.now[id][:fields[id].width]))
		}
	}
	return Packet{MatchOf(fs...), t.size}
}

// lookup returns the flow of a table that the packet hits.
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
			return false // a field of others
		}
		for i := range fields[f.id].width {
			if (t.now[f.id][i]^f.val[i])&f.mask[i] != 0 {
				return false
			}
		}
	}
	return true
}

// execute carries out what a flow does, and returns in which table the packet
// goes on, if it does.
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
			return 0, false, fmt.Errorf("instruction %v cannot be followed", in)
		}
	}
	return next, more, nil
}

// apply carries out actions, and reports whether the packet goes no further.
func (t *tracer) apply(as Actions) (ends bool, err error) {
	for a := range as.All() {
		switch a := a.(type) {
		case Output:
			if err := t.output(a.Port); err != nil {
				return false, err
			}
		case SetField:
			if a.Field.id == FieldRaw || fields[a.Field.id].alias {
				return false, fmt.Errorf("action %v cannot be followed", a)
			}
			t.set(a.Field.id, a.Field.val, a.Field.mask)
		case Move:
			if fields[a.Src.Field].alias || fields[a.Dst.Field].alias {
				return false, fmt.Errorf("action %v cannot be followed", a)
			}
			for i := range int(a.Src.bits()) {
				t.setBit(a.Dst, i, t.bit(a.Src, i))
			}
		case Load:
			if fields[a.Dst.Field].alias {
				return false, fmt.Errorf("action %v cannot be followed", a)
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
			return false, fmt.Errorf("action %v cannot be followed", a)
		}
	}
	return false, nil
}

// output sends the packet to a port; to that by which it came only as IN_PORT,
// as OpenFlow 1.3.5 §5.1.2 wants.
func (t *tracer) output(p PortNo) error {
	in := PortNo(binary.BigEndian.Uint32(t.now[FieldInPort][:]))
	switch {
	case p == PortInPort:
		p = in
	case p == in:
		return nil
	case p >= PortMax:
		return fmt.Errorf("output to %v cannot be followed", p)
	}
	t.step.Out = append(t.step.Out, Egress{Port: p, Packet: t.packet()})
	return nil
}

// group sends the packet to a group. What that changes, only its copies have.
func (t *tracer) group(id GroupID) error {
	i := slices.IndexFunc(t.groups, func(g GroupEntry) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	g := &t.groups[i]
	if g.Type == GroupTypeFastFailover {
		return fmt.Errorf("a group of type %v cannot be followed", g.Type)
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

// set sets the bits of a field that mask selects.
func (t *tracer) set(id FieldID, val, mask [16]byte) {
	for i := range fields[id].width {
		t.now[id][i] = t.now[id][i]&^mask[i] | val[i]&mask[i]
	}
	t.has[id] = true
}

// bit returns bit i, counted from the lowest, of a subfield.
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

// at returns where bit i of s is: in which byte of the field, and which bit there.
func (s Subfield) at(i int) (byteNo int, mask byte) {
	n := int(s.Offset) + i
	return fields[s.Field].width - 1 - n/8, 1 << (n % 8)
}
