package ofproto

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// CT passes the packet to connection tracking (NXAST_CT). It needs a match on
// [IPv4] or [IPv6].
type CT struct {
	Commit   bool     // add the connection to the tracking table
	Force    bool     // with Commit, make this packet's direction the original direction
	Zone     uint16   // the zone; unused if ZoneFrom is set
	ZoneFrom Subfield // the 16 bits of a field that hold the zone
	Recirc   bool     // continue with a copy of the packet, with its ct fields set, in Table
	Table    TableID
	ALG      uint16  // the port of a protocol helper, such as 21 for FTP; 0 if no helper is used
	Actions  Actions // [NAT]; with Commit, also actions that set the connection's mark and label
}

// NAT translates addresses and ports within [CT] (NXAST_NAT). The zero NAT applies the
// translation that was selected when the connection was committed.
type NAT struct {
	Src, Dst         bool       // the address to translate; at most one
	Persistent       bool       // map to the same address after a reboot
	Hash, Random     bool       // the method of selecting the port; at most one
	Min, Max         netip.Addr // the range of addresses; zero for none
	MinPort, MaxPort uint16     // the range of ports; 0 for none
}

// CTClear makes the packet untracked.
type CTClear struct{}

// Clone carries out actions on a copy of the packet.
type Clone struct{ Actions Actions }

const (
	ctCommit = 1
	ctForce  = 2
	ctNone   = 0xff // no table
)

// Flags of NXAST_NAT (nx_nat_flags).
const (
	natSrc = 1 << iota
	natDst
	natPersistent
	natHash
	natRandom
)

// Flags for the fields that are present in NXAST_NAT (nx_nat_range).
const (
	natIPv4Min = 1 << iota
	natIPv4Max
	natIPv6Min
	natIPv6Max
	natPortMin
	natPortMax
)

// algNames are the protocol helpers of connection tracking, by port.
var algNames = map[uint16]string{21: "ftp", 69: "tftp"}

func (a CT) String() string {
	var parts []string
	if a.Commit {
		parts = append(parts, "commit")
	}
	if a.Force {
		parts = append(parts, "force")
	}
	if a.Recirc {
		parts = append(parts, fmt.Sprint("table=", a.Table))
	}
	if a.ZoneFrom.Field != FieldRaw {
		parts = append(parts, "zone="+a.ZoneFrom.String())
	} else if a.Zone != 0 {
		parts = append(parts, fmt.Sprint("zone=", a.Zone))
	}
	var exec []string
	for in := range a.Actions.All() {
		if nat, ok := in.(NAT); ok && exec == nil && !strings.HasPrefix(last(parts), "nat") {
			parts = append(parts, nat.String())
			continue
		}
		exec = append(exec, in.String())
	}
	if exec != nil {
		parts = append(parts, "exec("+strings.Join(exec, ",")+")")
	}
	if name, ok := algNames[a.ALG]; ok {
		parts = append(parts, "alg="+name)
	} else if a.ALG != 0 {
		parts = append(parts, fmt.Sprint("alg=", a.ALG))
	}
	return "ct(" + strings.Join(parts, ",") + ")"
}

func last(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return parts[len(parts)-1]
}

func (a NAT) String() string {
	var parts []string
	side := ""
	switch {
	case a.Src:
		side = "src"
	case a.Dst:
		side = "dst"
	}
	if a.Min.IsValid() {
		side += "=" + a.rangeText()
	}
	for _, p := range []struct {
		has  bool
		word string
	}{{side != "", side}, {a.Persistent, "persistent"}, {a.Hash, "hash"}, {a.Random, "random"}} {
		if p.has {
			parts = append(parts, p.word)
		}
	}
	if parts == nil {
		return "nat"
	}
	return "nat(" + strings.Join(parts, ",") + ")"
}

// rangeText returns the addresses and ports. An IPv6 address before a port is in brackets.
func (a NAT) rangeText() string {
	addr := func(ip netip.Addr) string {
		if ip.Is4() || a.MinPort == 0 {
			return ip.String()
		}
		return "[" + ip.String() + "]"
	}
	s := addr(a.Min)
	if a.Max.IsValid() {
		s += "-" + addr(a.Max)
	}
	if a.MinPort != 0 {
		s += fmt.Sprint(":", a.MinPort)
	}
	if a.MaxPort != 0 {
		s += fmt.Sprint("-", a.MaxPort)
	}
	return s
}

func (CTClear) String() string { return "ct_clear" }
func (a Clone) String() string { return "clone(" + a.Actions.String() + ")" }

func (a CT) appendAction(b []byte) []byte {
	be, start, flags, table := binary.BigEndian, len(b), uint16(0), byte(ctNone)
	if a.Commit {
		flags |= ctCommit
	}
	if a.Force {
		flags |= ctForce
	}
	if a.Recirc {
		table = byte(a.Table)
	}
	b = be.AppendUint16(appendNX(b, nxCT), flags)
	if a.ZoneFrom.Field != FieldRaw {
		b = a.ZoneFrom.appendRange(be.AppendUint32(b, a.ZoneFrom.header()))
	} else {
		b = be.AppendUint16(be.AppendUint32(b, 0), a.Zone)
	}
	b = be.AppendUint16(append(b, table, 0, 0, 0), a.ALG)
	return endAction(append(b, a.Actions.wire...), start)
}

func (a NAT) appendAction(b []byte) []byte {
	be, start := binary.BigEndian, len(b)
	var flags, present uint16
	for i, has := range []bool{a.Src, a.Dst, a.Persistent, a.Hash, a.Random} {
		if has {
			flags |= 1 << i
		}
	}
	b = be.AppendUint16(append(appendNX(b, nxNAT), 0, 0), flags)
	b = append(b, 0, 0)
	for i, ip := range []netip.Addr{a.Min, a.Max} {
		switch {
		case !ip.IsValid():
		case ip.Is4():
			present |= natIPv4Min << i
			b = append(b, ip.AsSlice()...)
		default:
			present |= natIPv6Min << i
			b = append(b, ip.AsSlice()...)
		}
	}
	for i, p := range []uint16{a.MinPort, a.MaxPort} {
		if p != 0 {
			present |= natPortMin << i
			b = be.AppendUint16(b, p)
		}
	}
	be.PutUint16(b[start+14:], present)
	return endAction(b, start)
}

func (CTClear) appendAction(b []byte) []byte { return appendBareNX(b, nxCTClear) }

func (a Clone) appendAction(b []byte) []byte {
	start := len(b)
	b = append(appendNX(b, nxClone), 0, 0, 0, 0, 0, 0)
	return endAction(append(b, a.Actions.wire...), start)
}

func decodeCT(r *reader, depth int) (Action, error) {
	flags, hdr, zone := r.u16(), r.u32(), r.u16()
	a := CT{Commit: flags&ctCommit != 0, Force: flags&ctForce != 0}
	r.need(flags <= ctCommit|ctForce)
	if hdr != 0 {
		var ok bool
		a.ZoneFrom, ok = subfieldOf(hdr, zone>>6, zone&0x3f+1)
		r.need(ok)
	} else {
		a.Zone = zone
	}
	if t := r.u8(); t != ctNone {
		a.Recirc, a.Table = true, TableID(t)
	}
	r.zeros(3)
	a.ALG = r.u16()
	return nest(r, depth, func(as Actions) Action { a.Actions = as; return a })
}

func decodeClone(r *reader, depth int) (Action, error) {
	r.zeros(6)
	return nest(r, depth, func(as Actions) Action { return Clone{as} })
}

// nest decodes the rest of r as actions and returns make(actions). If they are malformed, the outer
// action stays raw.
func nest(r *reader, depth int, make func(Actions) Action) (Action, error) {
	as, err := decodeNested(r.take(len(r.s)), depth+1)
	if err == errNesting {
		return nil, err
	}
	r.need(err == nil)
	return make(as), nil
}

func decodeNAT(r *reader) Action {
	r.zeros(2)
	flags, present := r.u16(), r.u16()
	a := NAT{Src: flags&natSrc != 0, Dst: flags&natDst != 0, Persistent: flags&natPersistent != 0,
		Hash: flags&natHash != 0, Random: flags&natRandom != 0}
	has := func(bit uint16) bool { return present&bit != 0 }
	r.need(flags < 2*natRandom && present < 2*natPortMax)
	r.need(!has(natIPv4Min|natIPv4Max) || !has(natIPv6Min|natIPv6Max))
	r.need(has(natIPv4Min) || !has(natIPv4Max))
	r.need(has(natIPv6Min) || !has(natIPv6Max))
	r.need(has(natIPv4Min|natIPv6Min) || !has(natPortMin))
	r.need(has(natPortMin) || !has(natPortMax))
	n := 16
	for i, ip := range []*netip.Addr{&a.Min, &a.Max} {
		switch {
		case has(natIPv4Min << i):
			*ip, _ = netip.AddrFromSlice([]byte(r.take(4)))
			n += 4
		case has(natIPv6Min << i):
			*ip, _ = netip.AddrFromSlice([]byte(r.take(16)))
			n += 16
		}
	}
	for i, p := range []*uint16{&a.MinPort, &a.MaxPort} {
		if has(natPortMin << i) {
			*p = r.u16()
			r.need(*p != 0)
			n += 2
		}
	}
	r.need(len(r.s) == pad8(n)-n)
	return a
}
