package ofproto

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Reserved group numbers (OpenFlow 1.3.5 §7.3.4.2).
const (
	GroupMax GroupID = 0xffffff00
	GroupAll GroupID = 0xfffffffc
	GroupAny GroupID = 0xffffffff
)

// GroupCommand is an ofp_group_mod_command.
type GroupCommand uint16

// The commands.
const (
	GroupAdd GroupCommand = iota
	GroupModify
	GroupDelete
)

func (c GroupCommand) String() string { return modCommand(uint16(c)) }

// modCommand names a command to change a group or a meter.
func modCommand(c uint16) string {
	if names := [...]string{"add", "modify", "delete"}; int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("command %d", c)
}

// GroupType is an ofp_group_type.
type GroupType uint8

// A group of each type carries out, in this order: all buckets, one selected bucket, its only
// bucket, the first live bucket.
const (
	GroupTypeAll GroupType = iota
	GroupTypeSelect
	GroupTypeIndirect
	GroupTypeFastFailover
)

func (t GroupType) String() string {
	if names := [...]string{"all", "select", "indirect", "ff"}; int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// A Bucket is one of a group's lists of actions.
type Bucket struct {
	Weight     uint16  // in a select group
	WatchPort  PortNo  // or [PortAny]
	WatchGroup GroupID // or [GroupAny]
	Actions    Actions
}

// A GroupEntry is an entry of the group table.
type GroupEntry struct {
	ID      GroupID
	Type    GroupType
	Buckets []Bucket
}

// Equal reports whether g and h have the same effect in a switch. Comparing entries that share
// their buckets takes constant time. Open vSwitch reports a group as it was sent.
func (g GroupEntry) Equal(h GroupEntry) bool {
	return g.ID == h.ID && g.Type == h.Type && (same(g.Buckets, h.Buckets) || slices.Equal(g.Buckets, h.Buckets))
}

// Size returns the approximate number of bytes that g refers to.
func (g GroupEntry) Size() (n int) {
	for _, k := range g.Buckets {
		n += 40 + len(k.Actions.wire)
	}
	return n
}

// same reports whether a and b share their memory.
func same[E any](a, b []E) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// String returns g in the syntax that ovs-ofctl add-group accepts.
func (g GroupEntry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "group_id=%d,type=%v", g.ID, g.Type)
	for _, k := range g.Buckets {
		b.WriteString(",bucket=")
		if g.Type == GroupTypeSelect {
			fmt.Fprintf(&b, "weight:%d,", k.Weight)
		}
		if k.WatchPort != PortAny {
			fmt.Fprintf(&b, "watch_port:%d,", k.WatchPort)
		}
		if k.WatchGroup != GroupAny {
			fmt.Fprintf(&b, "watch_group:%d,", k.WatchGroup)
		}
		fmt.Fprintf(&b, "actions=%v", k.Actions)
	}
	return b.String()
}

// A GroupMod asks a switch to change a group (OFPT_GROUP_MOD).
type GroupMod struct {
	Command GroupCommand
	Entry   GroupEntry
}

// String returns the group's ID, type and number of buckets. It does not list the buckets,
// because there may be many.
func (m GroupMod) String() string {
	if m.Command == GroupDelete {
		return fmt.Sprintf("delete group_id=%d", m.Entry.ID)
	}
	return fmt.Sprintf("%v group_id=%d,type=%v with %d buckets", m.Command, m.Entry.ID, m.Entry.Type, len(m.Entry.Buckets))
}

const bucketLen = 16 // before the actions

// Append implements [Message]. Deletions have no buckets, because Open vSwitch refuses
// deletions with buckets.
func (m GroupMod) Append(b []byte, xid uint32) []byte {
	start := len(b)
	if m.Command == GroupDelete {
		m.Entry.Buckets = nil
	}
	b = appendHeader(b, typeGroupMod, 0, xid)
	b = binary.BigEndian.AppendUint16(b, uint16(m.Command))
	b = append(b, byte(m.Entry.Type), 0)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Entry.ID))
	return setLength(appendBuckets(b, m.Entry.Buckets), start)
}

func decodeGroupMod(b []byte) (Message, error) {
	if len(b) < 8 {
		return nil, shortError("group-mod", len(b), 8)
	}
	be := binary.BigEndian
	buckets, err := decodeBuckets(b[8:])
	if err != nil {
		return nil, fmt.Errorf("group-mod: %w", err)
	}
	return GroupMod{GroupCommand(be.Uint16(b)), GroupEntry{GroupID(be.Uint32(b[4:])), GroupType(b[2]), buckets}}, nil
}

func appendBuckets(b []byte, buckets []Bucket) []byte {
	be := binary.BigEndian
	for _, k := range buckets {
		b = be.AppendUint16(b, uint16(bucketLen+len(k.Actions.wire)))
		b = be.AppendUint16(b, k.Weight)
		b = be.AppendUint32(b, uint32(k.WatchPort))
		b = be.AppendUint32(b, uint32(k.WatchGroup))
		b = append(b, 0, 0, 0, 0)
		b = append(b, k.Actions.wire...)
	}
	return b
}

func decodeBuckets(b []byte) ([]Bucket, error) {
	be := binary.BigEndian
	var out []Bucket
	for len(b) > 0 {
		if len(b) < bucketLen {
			return nil, shortError("bucket", len(b), bucketLen)
		}
		n := int(be.Uint16(b))
		if n < bucketLen || n > len(b) {
			return nil, fmt.Errorf("bucket has length %d in %d bytes", n, len(b))
		}
		as, err := decodeActions(string(b[bucketLen:n]))
		if err != nil {
			return nil, fmt.Errorf("bucket %d: %w", len(out), err)
		}
		out = append(out, Bucket{be.Uint16(b[2:]), PortNo(be.Uint32(b[4:])), GroupID(be.Uint32(b[8:])), as})
		b = b[n:]
	}
	return out, nil
}
