package ofproto

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A MeterID is the number of a meter.
type MeterID uint32

// Reserved meter numbers (OpenFlow 1.3.5 §7.3.4.4).
const (
	MeterMax        MeterID = 0xffff0000
	MeterSlowPath   MeterID = 0xfffffffd
	MeterController MeterID = 0xfffffffe
	MeterAll        MeterID = 0xffffffff
)

// MeterCommand is an ofp_meter_mod_command.
type MeterCommand uint16

// The commands.
const (
	MeterAdd MeterCommand = iota
	MeterModify
	MeterDelete
)

func (c MeterCommand) String() string { return modCommand(uint16(c)) }

// MeterFlags are ofp_meter_flags.
type MeterFlags uint16

// The flags mean, in this order: the rates are in kbit/s, the rates are in packets/s, the bands
// have bursts, the meter has counters.
const (
	MeterKbps MeterFlags = 1 << iota
	MeterPktps
	MeterBurst
	MeterStatistics
)

var meterFlagNames = []string{"kbps", "pktps", "burst", "stats"}

// BandType is an ofp_meter_band_type.
type BandType uint16

// The types. Open vSwitch supports only [BandDrop].
const (
	BandDrop         BandType = 1
	BandDSCPRemark   BandType = 2
	BandExperimenter BandType = 0xffff
)

// A Band is the effect of a meter on packets above a rate.
type Band struct {
	Type      BandType
	Rate      uint32 // kbit/s or packets/s, depending on the meter's flags
	Burst     uint32 // kbit or packets
	PrecLevel uint8  // in a [BandDSCPRemark]
	// Data has the undecoded bytes after the burst. It is "" if they are only PrecLevel and
	// padding. In a [BandExperimenter] it starts with the experimenter ID (4 bytes).
	Data string
}

// A MeterEntry is an entry of the meter table.
type MeterEntry struct {
	ID    MeterID
	Flags MeterFlags
	Bands []Band
}

// Equal reports whether m and n have the same effect in a switch. A band without a burst equals a
// band with a burst of its rate, because Open vSwitch reports it in that form.
func (m MeterEntry) Equal(n MeterEntry) bool {
	return m.ID == n.ID && m.Flags == n.Flags && (same(m.Bands, n.Bands) ||
		slices.EqualFunc(m.Bands, n.Bands, func(a, b Band) bool { return a.withBurst() == b.withBurst() }))
}

// Size returns the approximate number of bytes that m refers to.
func (m MeterEntry) Size() (n int) {
	for _, d := range m.Bands {
		n += 40 + len(d.Data)
	}
	return n
}

func (d Band) withBurst() Band {
	if d.Burst == 0 {
		d.Burst = d.Rate
	}
	return d
}

// String returns m in the syntax that ovs-ofctl add-meter accepts.
func (m MeterEntry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "meter=%d", m.ID)
	for i, name := range meterFlagNames {
		if m.Flags&(1<<i) != 0 {
			b.WriteString("," + name)
		}
	}
	for i, d := range m.Bands {
		if i == 0 {
			b.WriteString(",bands=")
		} else {
			b.WriteString(",")
		}
		switch d.Type {
		case BandDrop:
			b.WriteString("type=drop")
		case BandDSCPRemark:
			fmt.Fprintf(&b, "type=dscp_remark,prec_level=%d", d.PrecLevel)
		default:
			fmt.Fprintf(&b, "type=%d", d.Type)
		}
		fmt.Fprintf(&b, ",rate=%d", d.Rate)
		if m.Flags&MeterBurst != 0 {
			fmt.Fprintf(&b, ",burst_size=%d", d.Burst)
		}
	}
	return b.String()
}

// A MeterMod asks a switch to change a meter (OFPT_METER_MOD). A bundle cannot
// contain it.
type MeterMod struct {
	Command MeterCommand
	Entry   MeterEntry
}

func (m MeterMod) String() string {
	if m.Command == MeterDelete {
		return fmt.Sprintf("delete meter=%d", m.Entry.ID)
	}
	return m.Command.String() + " " + m.Entry.String()
}

const bandLen = 16

// Append implements [Message].
func (m MeterMod) Append(b []byte, xid uint32) []byte {
	be, start := binary.BigEndian, len(b)
	b = appendHeader(b, typeMeterMod, 0, xid)
	b = be.AppendUint16(b, uint16(m.Command))
	b = be.AppendUint16(b, uint16(m.Entry.Flags))
	b = be.AppendUint32(b, uint32(m.Entry.ID))
	return setLength(appendBands(b, m.Entry.Bands), start)
}

func decodeMeterMod(b []byte) (Message, error) {
	if len(b) < 8 {
		return nil, shortError("meter-mod", len(b), 8)
	}
	be := binary.BigEndian
	bands, err := decodeBands(b[8:])
	if err != nil {
		return nil, fmt.Errorf("meter-mod: %w", err)
	}
	return MeterMod{MeterCommand(be.Uint16(b)), MeterEntry{MeterID(be.Uint32(b[4:])), MeterFlags(be.Uint16(b[2:])), bands}}, nil
}

func appendBands(b []byte, bands []Band) []byte {
	be := binary.BigEndian
	for _, d := range bands {
		data := d.Data
		if data == "" {
			data = string([]byte{d.PrecLevel, 0, 0, 0})
		}
		b = be.AppendUint16(b, uint16(d.Type))
		b = be.AppendUint16(b, uint16(bandLen-4+len(data)))
		b = be.AppendUint32(b, d.Rate)
		b = be.AppendUint32(b, d.Burst)
		b = append(b, data...)
	}
	return b
}

func decodeBands(b []byte) ([]Band, error) {
	be := binary.BigEndian
	var out []Band
	for len(b) > 0 {
		if len(b) < bandLen {
			return nil, shortError("meter band", len(b), bandLen)
		}
		n := int(be.Uint16(b[2:]))
		if n < bandLen || n > len(b) {
			return nil, fmt.Errorf("meter band has length %d in %d bytes", n, len(b))
		}
		d := Band{Type: BandType(be.Uint16(b)), Rate: be.Uint32(b[4:]), Burst: be.Uint32(b[8:])}
		switch rest := b[12:n]; {
		case n == bandLen && d.Type == BandDSCPRemark && rest[1]|rest[2]|rest[3] == 0:
			d.PrecLevel = rest[0]
		case n == bandLen && be.Uint32(rest) == 0: // padding
		default:
			d.Data = string(rest)
		}
		out = append(out, d)
		b = b[n:]
	}
	return out, nil
}
