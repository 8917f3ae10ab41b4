package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A kind is a kind of objects. Each kind has a bucket.
type kind uint8

const (
	networks kind = iota
	routers
	ports
	hosts
	kinds
)

// String returns the name of the kind's bucket.
func (k kind) String() string { return [kinds]string{"networks", "routers", "ports", "hosts"}[k] }

// The keys of bucket meta.
const (
	metaBucket = "meta"
	formatKey  = "format"
	summaryKey = "state"

	// formatText begins the value of formatKey, after its checksum; the schema version in
	// decimal follows. formatText is the same in all versions.
	formatText = "ofdvr intent store, schema version "
)

// sumLen is the length of the checksum before each value: CRC-32C, big-endian, of the bucket's
// name, a zero byte, the key, a zero byte and the rest of the value.
const sumLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A seal computes the checksums of one bucket's values. It is the checksum of the bucket's name.
type seal uint32

func sealOf(bucket string) seal {
	return seal(crc32.Checksum(append([]byte(bucket), 0), castagnoli))
}

func (s seal) sum(key, text []byte) uint32 {
	c := crc32.Update(uint32(s), castagnoli, key)
	c = crc32.Update(c, castagnoli, []byte{0})
	return crc32.Update(c, castagnoli, text)
}

// set writes the checksum into the reserved first bytes of value, and returns it.
func (s seal) set(key, value []byte) uint32 {
	c := s.sum(key, value[sumLen:])
	binary.BigEndian.PutUint32(value, c)
	return c
}

// open checks the checksum of value, and returns it with the rest of value.
func (s seal) open(key, value []byte) (text []byte, sum uint32, err error) {
	if len(value) < sumLen {
		return nil, 0, corrupt("the value has %d bytes, fewer than a checksum", len(value))
	}
	text, sum = value[sumLen:], binary.BigEndian.Uint32(value)
	if s.sum(key, text) != sum {
		return nil, 0, corrupt("the value has a wrong checksum")
	}
	return text, sum, nil
}

// A summary is the record in meta that describes the contents.
type summary struct {
	Revision uint64 `json:"revision"`
	Complete bool   `json:"complete"`
	Networks tally  `json:"networks"`
	Routers  tally  `json:"routers"`
	Ports    tally  `json:"ports"`
	Hosts    tally  `json:"hosts,omitzero"`
}

// A tally has the number of a bucket's records and the sum of their checksums. It detects missing
// and additional records.
type tally struct {
	Count int    `json:"count"`
	Sum   uint64 `json:"sum"` // sum of all checksums, modulo 2^64
}

func (t *tally) add(sum uint32)    { t.Count, t.Sum = t.Count+1, t.Sum+uint64(sum) }
func (t *tally) remove(sum uint32) { t.Count, t.Sum = t.Count-1, t.Sum-uint64(sum) }

func (s *summary) of(k kind) *tally {
	return [kinds]*tally{&s.Networks, &s.Routers, &s.Ports, &s.Hosts}[k]
}

func (s *summary) objects() (n int) {
	for k := range kinds {
		n += s.of(k).Count
	}
	return n
}

// value returns s as a record of the bucket meta.
func (s *summary) value() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the summary: %w", err)
	}
	v := append(make([]byte, sumLen), text...)
	sealOf(metaBucket).set([]byte(summaryKey), v)
	return v, nil
}

func parseSummary(value []byte) (s summary, err error) {
	text, _, err := sealOf(metaBucket).open([]byte(summaryKey), value)
	if err != nil {
		return s, fmt.Errorf("the summary: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, corrupt("the summary: %w", err)
	}
	return s, nil
}

// formatValue returns the value with the schema version.
func formatValue(version int) []byte {
	v := append(make([]byte, sumLen), formatText+strconv.Itoa(version)...)
	sealOf(metaBucket).set([]byte(formatKey), v)
	return v
}

func parseFormat(value []byte) (version int, err error) {
	text, _, err := sealOf(metaBucket).open([]byte(formatKey), value)
	if err != nil {
		return 0, fmt.Errorf("the schema version: %w", err)
	}
	digits, ok := bytes.CutPrefix(text, []byte(formatText))
	if !ok {
		return 0, fmt.Errorf("%w: its format is %q", ErrForeign, text)
	}
	if version, err = strconv.Atoi(string(digits)); err != nil || version < 0 {
		return 0, corrupt("the schema version is %q", digits)
	}
	return version, nil
}
