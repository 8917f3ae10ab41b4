package ofproto

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// HashFields selects the parts of a packet to hash (nx_hash_fields).
type HashFields uint16

// The selections that Open vSwitch supports.
const (
	HashEthSrc HashFields = iota
	HashSymmetricL4
	HashSymmetricL3L4
	HashSymmetricL3L4UDP
	HashIPSrc
	HashIPDst
	HashSymmetricL3
)

var hashNames = []string{"eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"}

func (h HashFields) String() string { return nameOf(hashNames, int(h)) }

// nameOf returns names[n], or n in decimal if it has no name.
func nameOf(names []string, n int) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprint(n)
}

// MultipathAlgorithm selects how a hash chooses a link (nx_mp_algorithm).
type MultipathAlgorithm uint16

// The algorithms.
const (
	ModuloN MultipathAlgorithm = iota
	HashThreshold
	HighestRandomWeight
	IterHash
)

var multipathNames = []string{"modulo_n", "hash_threshold", "hrw", "iter_hash"}

func (a MultipathAlgorithm) String() string { return nameOf(multipathNames, int(a)) }

// Multipath hashes the packet and writes a number from 0 to Links-1 to a field
// (NXAST_MULTIPATH).
type Multipath struct {
	Fields    HashFields
	Basis     uint16
	Algorithm MultipathAlgorithm
	Links     uint32 // 1 to 65536
	Arg       uint32 // argument of [IterHash]
	Dst       Subfield
}

// BundleAlgorithm is the method of selecting a member (nx_bd_algorithm).
type BundleAlgorithm uint16

// The algorithms.
const (
	ActiveBackup BundleAlgorithm = iota // the first live member
	WeightedHash                        // the member with the highest random weight
)

var bundleNames = []string{"active_backup", "hrw"}

func (a BundleAlgorithm) String() string { return nameOf(bundleNames, int(a)) }

// Bundle selects one of several live ports. It sends the packet to the port, or writes the
// port's number to a field (NXAST_BUNDLE and NXAST_BUNDLE_LOAD). It is unrelated to bundles of
// messages.
type Bundle struct {
	Fields    HashFields
	Basis     uint16
	Algorithm BundleAlgorithm
	Members   IDs      // port numbers; for a reserved port the low 16 bits
	Dst       Subfield // destination field of at least 16 bits; zero means that the packet is sent to the port
}

// SampleDirection selects the direction in which packets are sampled.
type SampleDirection uint8

// The directions.
const (
	SampleAny SampleDirection = iota
	SampleIngress
	SampleEgress
)

// Sample sends some packets to IPFIX collectors (NXAST_SAMPLE to
// NXAST_SAMPLE3).
type Sample struct {
	Probability  uint16 // sampled packets of 65535; not 0
	CollectorSet uint32
	Domain       uint32 // obs_domain_id
	Point        uint32 // obs_point_id
	Port         PortNo // the port at which the packet is sampled; 0 for none
	Direction    SampleDirection
}

// nxmInPort is the header NXM_OF_IN_PORT.
const nxmInPort = 2

func (a Multipath) String() string {
	return fmt.Sprintf("multipath(%v,%d,%v,%d,%d,%v)", a.Fields, a.Basis, a.Algorithm, a.Links, a.Arg, a.Dst)
}

func (a Bundle) String() string {
	name, dst := "bundle", ""
	if a.Dst.Field != FieldRaw {
		name, dst = "bundle_load", a.Dst.String()+","
	}
	var ports []string
	for i := range a.Members.Len() {
		ports = append(ports, widePort(a.Members.At(i)).String())
	}
	return fmt.Sprintf("%s(%v,%d,%v,ofport,%smembers:%s)", name, a.Fields, a.Basis, a.Algorithm, dst, strings.Join(ports, ","))
}

func (a Sample) String() string {
	s := fmt.Sprintf("sample(probability=%d,collector_set_id=%d,obs_domain_id=%d,obs_point_id=%d",
		a.Probability, a.CollectorSet, a.Domain, a.Point)
	if a.Port != 0 {
		s += ",sampling_port=" + a.Port.String()
	}
	switch a.Direction {
	case SampleIngress:
		s += ",ingress"
	case SampleEgress:
		s += ",egress"
	}
	return s + ")"
}

func (a Multipath) appendAction(b []byte) []byte {
	be, start := binary.BigEndian, len(b)
	b = be.AppendUint16(appendNX(b, nxMultipath), uint16(a.Fields))
	b = append(be.AppendUint16(b, a.Basis), 0, 0)
	b = be.AppendUint16(b, uint16(a.Algorithm))
	b = be.AppendUint16(b, uint16(a.Links-1))
	b = append(be.AppendUint32(b, a.Arg), 0, 0)
	b = be.AppendUint32(a.Dst.appendRange(b), a.Dst.header())
	return endAction(b, start)
}

func decodeMultipath(r *reader) Action {
	r.need(len(r.s) == 22)
	a := Multipath{Fields: HashFields(r.u16()), Basis: r.u16()}
	r.zeros(2)
	a.Algorithm, a.Links, a.Arg = MultipathAlgorithm(r.u16()), uint32(r.u16())+1, r.u32()
	r.zeros(2)
	a.Dst = r.ranged()
	r.need(int(a.Fields) < len(hashNames) && int(a.Algorithm) < len(multipathNames))
	return a
}

func (a Bundle) appendAction(b []byte) []byte {
	be, start, subtype := binary.BigEndian, len(b), uint16(nxBundle)
	if a.Dst.Field != FieldRaw {
		subtype = nxBundleLoad
	}
	b = be.AppendUint16(appendNX(b, subtype), uint16(a.Algorithm))
	b = be.AppendUint16(b, uint16(a.Fields))
	b = be.AppendUint16(b, a.Basis)
	b = be.AppendUint32(b, nxmInPort)
	b = be.AppendUint16(b, uint16(a.Members.Len()))
	if subtype == nxBundleLoad {
		b = be.AppendUint32(a.Dst.appendRange(b), a.Dst.header())
	} else {
		b = append(b, 0, 0, 0, 0, 0, 0)
	}
	b = append(append(b, 0, 0, 0, 0), a.Members.wire...)
	return endAction(b, start)
}

func decodeBundle(subtype uint16, r *reader) Action {
	a := Bundle{Algorithm: BundleAlgorithm(r.u16()), Fields: HashFields(r.u16()), Basis: r.u16()}
	r.need(int(a.Fields) < len(hashNames) && int(a.Algorithm) < len(bundleNames) && r.u32() == nxmInPort)
	n := int(r.u16())
	if subtype == nxBundleLoad {
		a.Dst = r.ranged()
	} else {
		r.zeros(6)
	}
	r.zeros(4)
	a.Members = IDs{r.take(2 * n)}
	r.need(len(r.s) < 8)
	return a
}

func (a Sample) appendAction(b []byte) []byte {
	be, start, subtype, port := binary.BigEndian, len(b), uint16(nxSample), uint16(0xffff)
	if a.Port != 0 {
		subtype, port = nxSample2, uint16(a.Port)
	}
	if a.Direction != SampleAny {
		subtype = nxSample3
	}
	b = be.AppendUint16(appendNX(b, subtype), a.Probability)
	b = be.AppendUint32(b, a.CollectorSet)
	b = be.AppendUint32(b, a.Domain)
	b = be.AppendUint32(b, a.Point)
	if subtype != nxSample {
		b = append(be.AppendUint16(b, port), byte(a.Direction), 0, 0, 0, 0, 0)
	}
	return endAction(b, start)
}

func decodeSample(subtype uint16, r *reader) Action {
	a := Sample{Probability: r.u16(), CollectorSet: r.u32(), Domain: r.u32(), Point: r.u32()}
	if subtype == nxSample {
		r.need(r.s == "")
		return a
	}
	r.need(len(r.s) == 8)
	port := r.u16()
	r.need(port != 0)
	if port != 0xffff {
		a.Port = widePort(port)
	}
	if subtype == nxSample3 {
		a.Direction = SampleDirection(r.u8())
		r.need(a.Direction <= SampleEgress)
	}
	return a
}

// PortsOf returns the numbers of ports in the form of [Bundle.Members].
func PortsOf(ports ...PortNo) IDs {
	var b []byte
	for _, p := range ports {
		b = binary.BigEndian.AppendUint16(b, uint16(p))
	}
	return IDs{string(b)}
}
