package ofproto

import (
	"encoding/binary"
	"fmt"
)

// These are statistics requests. PortStatsRequest accepts [PortAny], GroupStatsRequest accepts
// [GroupAll], and the requests for meters accept [MeterAll].
type (
	DescriptionRequest   struct{}
	TableStatsRequest    struct{}
	PortDescRequest      struct{}
	GroupDescRequest     struct{}
	GroupFeaturesRequest struct{}
	MeterFeaturesRequest struct{}
	PortStatsRequest     struct {
		Port PortNo
		_    [4]byte
	}
	GroupStatsRequest struct {
		Group GroupID
		_     [4]byte
	}
	MeterStatsRequest struct {
		Meter MeterID
		_     [4]byte
	}
	MeterConfigRequest struct {
		Meter MeterID
		_     [4]byte
	}
)

// A Description describes a switch in text (OpenFlow 1.3.5 §7.3.5.1).
type Description struct {
	Manufacturer, Hardware, Software, SerialNumber, Datapath string
}

// TableStatsReply has the counters of all tables.
type TableStatsReply []TableStats

// TableStats are the counters of one table (§7.3.5.4).
type TableStats struct {
	Table            TableID
	_                [3]byte
	Active           uint32 // flows
	Lookups, Matches uint64 // packets
}

// PortStatsReply has the counters of ports.
type PortStatsReply []PortStats

// PortStats are the counters of one port (§7.3.5.6). In an unsupported counter all bits are
// one.
type PortStats struct {
	Port                                        PortNo
	_                                           [4]byte
	RxPackets, TxPackets, RxBytes, TxBytes      uint64
	RxDropped, TxDropped, RxErrors, TxErrors    uint64
	RxFrameErr, RxOverErr, RxCRCErr, Collisions uint64
	Seconds, Nanoseconds                        uint32 // since the port was created
}

// PortDescReply has the ports of a switch.
type PortDescReply []Port

// GroupStatsReply has the counters of groups.
type GroupStatsReply []GroupStats

// GroupStats are the counters of one group (§7.3.5.9).
type GroupStats struct {
	Group                GroupID
	References           uint32
	Packets, Bytes       uint64
	Seconds, Nanoseconds uint32
	Buckets              []BucketStats
}

// BucketStats are the counters of one bucket.
type BucketStats struct{ Packets, Bytes uint64 }

// GroupDescReply has the entries of the group table.
type GroupDescReply []GroupEntry

// GroupFeatures describes the groups that a switch supports (§7.3.5.11). The arrays are
// indexed by [GroupType].
type GroupFeatures struct {
	Types, Capabilities uint32
	MaxGroups, Actions  [4]uint32
}

// MeterStatsReply has the counters of meters.
type MeterStatsReply []MeterStats

// MeterStats are the counters of one meter (§7.3.5.12).
type MeterStats struct {
	Meter                MeterID
	Flows                uint32
	Packets, Bytes       uint64
	Seconds, Nanoseconds uint32
	Bands                []BucketStats
}

// MeterConfigReply has the entries of the meter table.
type MeterConfigReply []MeterEntry

// MeterFeatures describes the meters that a switch supports (§7.3.5.14).
type MeterFeatures struct {
	MaxMeters, BandTypes, Capabilities uint32
	MaxBands, MaxColors                uint8
	_                                  [2]byte
}

func (DescriptionRequest) multipartType() uint16   { return multipartDesc }
func (Description) multipartType() uint16          { return multipartDesc }
func (TableStatsRequest) multipartType() uint16    { return multipartTable }
func (TableStatsReply) multipartType() uint16      { return multipartTable }
func (PortStatsRequest) multipartType() uint16     { return multipartPort }
func (PortStatsReply) multipartType() uint16       { return multipartPort }
func (PortDescRequest) multipartType() uint16      { return multipartPortDesc }
func (PortDescReply) multipartType() uint16        { return multipartPortDesc }
func (GroupStatsRequest) multipartType() uint16    { return multipartGroup }
func (GroupStatsReply) multipartType() uint16      { return multipartGroup }
func (GroupDescRequest) multipartType() uint16     { return multipartGroupDesc }
func (GroupDescReply) multipartType() uint16       { return multipartGroupDesc }
func (GroupFeaturesRequest) multipartType() uint16 { return multipartGroupFeatures }
func (GroupFeatures) multipartType() uint16        { return multipartGroupFeatures }
func (MeterStatsRequest) multipartType() uint16    { return multipartMeter }
func (MeterStatsReply) multipartType() uint16      { return multipartMeter }
func (MeterConfigRequest) multipartType() uint16   { return multipartMeterConfig }
func (MeterConfigReply) multipartType() uint16     { return multipartMeterConfig }
func (MeterFeaturesRequest) multipartType() uint16 { return multipartMeterFeatures }
func (MeterFeatures) multipartType() uint16        { return multipartMeterFeatures }

func (DescriptionRequest) appendBody(b []byte) []byte   { return b }
func (TableStatsRequest) appendBody(b []byte) []byte    { return b }
func (PortDescRequest) appendBody(b []byte) []byte      { return b }
func (GroupDescRequest) appendBody(b []byte) []byte     { return b }
func (GroupFeaturesRequest) appendBody(b []byte) []byte { return b }
func (MeterFeaturesRequest) appendBody(b []byte) []byte { return b }
func (m PortStatsRequest) appendBody(b []byte) []byte   { return appendFixed(b, m) }
func (m GroupStatsRequest) appendBody(b []byte) []byte  { return appendFixed(b, m) }
func (m MeterStatsRequest) appendBody(b []byte) []byte  { return appendFixed(b, m) }
func (m MeterConfigRequest) appendBody(b []byte) []byte { return appendFixed(b, m) }
func (m TableStatsReply) appendBody(b []byte) []byte    { return appendFixed(b, []TableStats(m)) }
func (m PortStatsReply) appendBody(b []byte) []byte     { return appendFixed(b, []PortStats(m)) }
func (m GroupFeatures) appendBody(b []byte) []byte      { return appendFixed(b, m) }
func (m MeterFeatures) appendBody(b []byte) []byte      { return appendFixed(b, m) }

func (m PortDescReply) appendBody(b []byte) []byte {
	for _, p := range m {
		b = p.append(b)
	}
	return b
}

func decodePortEntry(b []byte) (Port, int, error) {
	if len(b) < portLen {
		return Port{}, 0, shortError("ofp_port", len(b), portLen)
	}
	return decodePort(b), portLen, nil
}

const (
	descriptionLen  = 256 // length of each string except the serial number
	serialNumberLen = 32
)

func (m Description) appendBody(b []byte) []byte {
	b = appendText(b, m.Manufacturer, descriptionLen)
	b = appendText(b, m.Hardware, descriptionLen)
	b = appendText(b, m.Software, descriptionLen)
	b = appendText(b, m.SerialNumber, serialNumberLen)
	return appendText(b, m.Datapath, descriptionLen)
}

func decodeDescription(b []byte) (MultipartBody, error) {
	const d, s = descriptionLen, serialNumberLen
	if len(b) < 4*d+s {
		return nil, shortError("description", len(b), 4*d+s)
	}
	return Description{text(b[:d]), text(b[d : 2*d]), text(b[2*d : 3*d]), text(b[3*d : 3*d+s]), text(b[3*d+s : 4*d+s])}, nil
}

// groupStatsWire is an ofp_group_stats before the buckets.
type groupStatsWire struct {
	Length               uint16
	_                    [2]byte
	Group                GroupID
	References           uint32
	_                    [4]byte
	Packets, Bytes       uint64
	Seconds, Nanoseconds uint32
}

// meterStatsWire is an ofp_meter_stats before the bands.
type meterStatsWire struct {
	Meter                MeterID
	Length               uint16
	_                    [6]byte
	Flows                uint32
	Packets, Bytes       uint64
	Seconds, Nanoseconds uint32
}

const bucketStatsLen = 16

func (m GroupStatsReply) appendBody(b []byte) []byte {
	for _, g := range m {
		w := groupStatsWire{Group: g.Group, References: g.References, Packets: g.Packets, Bytes: g.Bytes,
			Seconds: g.Seconds, Nanoseconds: g.Nanoseconds}
		w.Length = uint16(binary.Size(w) + bucketStatsLen*len(g.Buckets))
		b = appendFixed(appendFixed(b, w), g.Buckets)
	}
	return b
}

func (m MeterStatsReply) appendBody(b []byte) []byte {
	for _, s := range m {
		w := meterStatsWire{Meter: s.Meter, Flows: s.Flows, Packets: s.Packets, Bytes: s.Bytes,
			Seconds: s.Seconds, Nanoseconds: s.Nanoseconds}
		w.Length = uint16(binary.Size(w) + bucketStatsLen*len(s.Bands))
		b = appendFixed(appendFixed(b, w), s.Bands)
	}
	return b
}

func decodeGroupStats(b []byte) (GroupStats, int, error) {
	var w groupStatsWire
	rest, err := decodeFixed("ofp_group_stats", b, &w)
	if err != nil {
		return GroupStats{}, 0, err
	}
	buckets, err := decodeBucketStats("ofp_group_stats", rest, int(w.Length)-binary.Size(w))
	return GroupStats{w.Group, w.References, w.Packets, w.Bytes, w.Seconds, w.Nanoseconds, buckets}, int(w.Length), err
}

func decodeMeterStats(b []byte) (MeterStats, int, error) {
	var w meterStatsWire
	rest, err := decodeFixed("ofp_meter_stats", b, &w)
	if err != nil {
		return MeterStats{}, 0, err
	}
	bands, err := decodeBucketStats("ofp_meter_stats", rest, int(w.Length)-binary.Size(w))
	return MeterStats{w.Meter, w.Flows, w.Packets, w.Bytes, w.Seconds, w.Nanoseconds, bands}, int(w.Length), err
}

// decodeBucketStats decodes the n bytes of counters at the start of b.
func decodeBucketStats(what string, b []byte, n int) ([]BucketStats, error) {
	if n < 0 || n > len(b) || n%bucketStatsLen != 0 {
		return nil, fmt.Errorf("%s has %d bytes of counters in %d bytes", what, n, len(b))
	}
	if n == 0 {
		return nil, nil
	}
	out := make([]BucketStats, n/bucketStatsLen)
	_, err := decodeFixed(what, b[:n], out)
	return out, err
}

// A group description consists of its length and a group in the form of a group-mod.
func (m GroupDescReply) appendBody(b []byte) []byte {
	for _, g := range m {
		start := len(b)
		b = append(b, 0, 0, byte(g.Type), 0)
		b = binary.BigEndian.AppendUint32(b, uint32(g.ID))
		b = appendBuckets(b, g.Buckets)
		binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start))
	}
	return b
}

func decodeGroupDesc(b []byte) (GroupEntry, int, error) {
	n, err := entryLength("ofp_group_desc", b, 8)
	if err != nil {
		return GroupEntry{}, 0, err
	}
	buckets, err := decodeBuckets(b[8:n])
	return GroupEntry{GroupID(binary.BigEndian.Uint32(b[4:])), GroupType(b[2]), buckets}, n, err
}

func (m MeterConfigReply) appendBody(b []byte) []byte {
	be := binary.BigEndian
	for _, c := range m {
		b = be.AppendUint16(b, uint16(8+bandLen*len(c.Bands)))
		b = be.AppendUint16(b, uint16(c.Flags))
		b = be.AppendUint32(b, uint32(c.ID))
		b = appendBands(b, c.Bands)
	}
	return b
}

func decodeMeterConfig(b []byte) (MeterEntry, int, error) {
	n, err := entryLength("ofp_meter_config", b, 8)
	if err != nil {
		return MeterEntry{}, 0, err
	}
	be := binary.BigEndian
	bands, err := decodeBands(b[8:n])
	return MeterEntry{MeterID(be.Uint32(b[4:])), MeterFlags(be.Uint16(b[2:])), bands}, n, err
}

// entryLength returns the length in the first two bytes of b. It must not be less than least or
// greater than len(b).
func entryLength(what string, b []byte, least int) (int, error) {
	if len(b) < least {
		return 0, shortError(what, len(b), least)
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < least || n > len(b) {
		return 0, fmt.Errorf("%s has length %d in %d bytes", what, n, len(b))
	}
	return n, nil
}
