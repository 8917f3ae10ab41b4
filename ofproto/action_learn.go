package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
)

// Learn adds a flow, or modifies an existing one, when a packet hits the flow
// (NXAST_LEARN and NXAST_LEARN2).
type Learn struct {
	Table            TableID
	Priority         uint16
	Cookie           Cookie
	Idle, Hard       uint16 // timeouts in seconds; 0 for no timeout
	FinIdle, FinHard uint16 // timeouts after a TCP FIN or RST; 0 for no change
	SendFlowRemoved  bool
	DeleteLearned    bool     // delete learned flows when the flow with this action is deleted
	Limit            uint32   // number of learned flows; 0 for no limit
	Result           Subfield // a bit that is set to 1 if the limit allows the flow; zero for no bit
	Specs            LearnSpecs
}

// LearnKind is the purpose of a [LearnSpec].
type LearnKind uint8

// The kinds, in this order: match on Dst, set Dst, output to the port in Src.
const (
	LearnMatch LearnKind = iota
	LearnLoad
	LearnOutput
)

// A LearnSpec is one part of a learned flow. See [LearnField] and [LearnValue].
type LearnSpec struct {
	Kind  LearnKind
	Dst   Subfield // bits in the learned flow; not used by LearnOutput
	Src   Subfield // bits in the packet, as many as in Dst; if zero, Value is used
	Value [16]byte // in network byte order, right aligned
}

// LearnField returns a spec that uses the packet's value of src. The learned flow matches dst with
// that value, or sets dst to it.
func LearnField(kind LearnKind, dst, src Subfield) LearnSpec {
	return LearnSpec{Kind: kind, Dst: dst, Src: src}
}

// LearnValue returns a spec with a constant value. The learned flow matches dst with that value, or
// sets dst to it.
func LearnValue(kind LearnKind, dst Subfield, value uint64) LearnSpec {
	s := LearnSpec{Kind: kind, Dst: dst}
	binary.BigEndian.PutUint64(s.Value[8:], value)
	return s
}

// LearnPort returns a spec that outputs to the port number that the packet has in src.
func LearnPort(src Subfield) LearnSpec { return LearnSpec{Kind: LearnOutput, Src: src} }

// LearnSpecs is a list of specs in wire encoding. It is comparable.
type LearnSpecs struct{ wire string }

// SpecsOf returns the list of specs.
func SpecsOf(specs ...LearnSpec) LearnSpecs {
	var b []byte
	for _, s := range specs {
		b = s.append(b)
	}
	return LearnSpecs{string(b)}
}

// All returns the specs in order.
func (l LearnSpecs) All() iter.Seq[LearnSpec] {
	return func(yield func(LearnSpec) bool) {
		for r := (reader{s: l.wire}); r.s != ""; {
			if s, ok := r.spec(); !ok || !yield(s) {
				return
			}
		}
	}
}

// The header of a flow_mod_spec has its purpose, whether the source is a constant, and the
// number of bits.
const (
	specKindShift = 11
	specImmediate = 1 << 13
	specBits      = 0x3ff
)

// bits returns the number of bits that s matches or sets.
func (s LearnSpec) bits() uint16 {
	if s.Kind == LearnOutput {
		return s.Src.bits()
	}
	return s.Dst.bits()
}

func (s LearnSpec) append(b []byte) []byte {
	be := binary.BigEndian
	head := uint16(s.Kind)<<specKindShift | s.bits()
	if s.Src.Field == FieldRaw {
		n := 2 * ((int(s.bits()) + 15) / 16)
		b = append(be.AppendUint16(b, head|specImmediate), s.Value[len(s.Value)-n:]...)
	} else {
		b = be.AppendUint32(be.AppendUint16(b, head), s.Src.header())
		b = be.AppendUint16(b, s.Src.Offset)
	}
	if s.Kind != LearnOutput {
		b = be.AppendUint16(be.AppendUint32(b, s.Dst.header()), s.Dst.Offset)
	}
	return b
}

// spec reads a spec. At the padding after the last spec, ok is false.
func (r *reader) spec() (s LearnSpec, ok bool) {
	head := r.u16()
	if head == 0 {
		return LearnSpec{}, false
	}
	n := head & specBits
	s.Kind = LearnKind(head >> specKindShift & 3)
	r.need(head < 2*specImmediate && head&(specBits+1) == 0 && s.Kind <= LearnOutput && n <= 128)
	if head&specImmediate != 0 {
		size := 2 * ((int(n) + 15) / 16)
		r.need(s.Kind != LearnOutput)
		if val := r.take(size); !r.bad {
			copy(s.Value[len(s.Value)-size:], val)
			for i, b := range s.Value {
				high := int(n) - 8*(15-i) // number of bits of this byte that belong to the value
				r.need(high >= 8 || high > 0 && b>>high == 0 || b == 0)
			}
		}
	} else {
		hdr := r.u32()
		var ok bool
		s.Src, ok = subfieldOf(hdr, r.u16(), n)
		r.need(ok)
	}
	if s.Kind != LearnOutput {
		hdr := r.u32()
		var ok bool
		s.Dst, ok = subfieldOf(hdr, r.u16(), n)
		r.need(ok)
	}
	return s, !r.bad
}

// Flags of NXAST_LEARN (nx_learn_flags).
const (
	learnSendFlowRemoved = 1 << iota
	learnDeleteLearned
	learnWriteResult
)

func (a Learn) appendAction(b []byte) []byte {
	be, start, subtype, flags := binary.BigEndian, len(b), uint16(nxLearn), uint16(0)
	if a.SendFlowRemoved {
		flags |= learnSendFlowRemoved
	}
	if a.DeleteLearned {
		flags |= learnDeleteLearned
	}
	if a.Result.Field != FieldRaw {
		flags |= learnWriteResult
	}
	if a.Limit != 0 || flags&learnWriteResult != 0 {
		subtype = nxLearn2
	}
	b = be.AppendUint16(appendNX(b, subtype), a.Idle)
	b = be.AppendUint16(b, a.Hard)
	b = be.AppendUint16(b, a.Priority)
	b = be.AppendUint64(b, uint64(a.Cookie))
	b = append(be.AppendUint16(b, flags), byte(a.Table), 0)
	b = be.AppendUint16(b, a.FinIdle)
	b = be.AppendUint16(b, a.FinHard)
	if subtype == nxLearn2 {
		b = be.AppendUint32(b, a.Limit)
		if flags&learnWriteResult != 0 {
			b = append(be.AppendUint16(b, a.Result.Offset), 0, 0)
			b = be.AppendUint32(b, a.Result.header())
		} else {
			b = append(b, 0, 0, 0, 0)
		}
	}
	return endAction(append(b, a.Specs.wire...), start)
}

func decodeLearn(subtype uint16, r *reader) Action {
	a := Learn{Idle: r.u16(), Hard: r.u16(), Priority: r.u16(), Cookie: Cookie(r.u64())}
	flags := r.u16()
	a.SendFlowRemoved, a.DeleteLearned = flags&learnSendFlowRemoved != 0, flags&learnDeleteLearned != 0
	a.Table = TableID(r.u8())
	r.zeros(1)
	a.FinIdle, a.FinHard = r.u16(), r.u16()
	r.need(flags < learnWriteResult || subtype == nxLearn2 && flags < 2*learnWriteResult)
	if subtype == nxLearn2 {
		a.Limit = r.u32()
		ofs := r.u16()
		r.zeros(2)
		if flags&learnWriteResult != 0 {
			a.Result = r.subfield(ofs, 1)
		} else {
			r.need(ofs == 0)
		}
	}
	var specs []byte
	for r.s != "" && !r.bad {
		s, ok := r.spec()
		if !ok {
			break
		}
		specs = s.append(specs)
	}
	a.Specs = LearnSpecs{string(specs)}
	return a
}

func (a Learn) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "learn(table=%d", a.Table)
	for _, p := range []struct {
		name string
		val  uint16
		skip uint16
	}{{"idle_timeout", a.Idle, 0}, {"hard_timeout", a.Hard, 0}, {"fin_idle_timeout", a.FinIdle, 0},
		{"fin_hard_timeout", a.FinHard, 0}, {"priority", a.Priority, defaultPriority}} {
		if p.val != p.skip {
			fmt.Fprintf(&b, ",%s=%d", p.name, p.val)
		}
	}
	if a.SendFlowRemoved {
		b.WriteString(",send_flow_rem")
	}
	if a.DeleteLearned {
		b.WriteString(",delete_learned")
	}
	if a.Cookie != 0 {
		fmt.Fprintf(&b, ",cookie=%#x", uint64(a.Cookie))
	}
	if a.Limit != 0 {
		fmt.Fprintf(&b, ",limit=%d", a.Limit)
	}
	if a.Result.Field != FieldRaw {
		b.WriteString(",result_dst=" + a.Result.String())
	}
	for s := range a.Specs.All() {
		b.WriteString("," + s.String())
	}
	return b.String() + ")"
}

// defaultPriority is OFP_DEFAULT_PRIORITY, which ovs-ofctl leaves out.
const defaultPriority = 32768

// String returns s as ovs-ofctl writes it in a learn action.
func (s LearnSpec) String() string {
	switch {
	case s.Kind == LearnOutput:
		return "output:" + s.Src.String()
	case s.Kind == LearnLoad && s.Src.Field == FieldRaw:
		return "load:" + hexNumber(s.Value[:]) + "->" + s.Dst.String()
	case s.Kind == LearnLoad:
		return "load:" + s.Src.String() + "->" + s.Dst.String()
	case s.Src == s.Dst:
		return s.Dst.String()
	case s.Src.Field != FieldRaw:
		return s.Dst.String() + "=" + s.Src.String()
	}
	if fi := &fields[s.Dst.Field]; s.Dst.Bits == 0 {
		var val [16]byte
		copy(val[:], s.Value[16-fi.width:])
		if word := fragWord(val[0], 3); fi.format == frag && !strings.Contains(word, "/") {
			return fi.set + "=" + word
		}
		return fi.set + "=" + fi.text(val)
	}
	return s.Dst.String() + "=" + hexNumber(s.Value[:])
}

// hexNumber formats a number as %#x does.
func hexNumber(b []byte) string {
	s := strings.TrimLeft(hex.EncodeToString(b), "0")
	if s == "" {
		return "0"
	}
	return "0x" + s
}
