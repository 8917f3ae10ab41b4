package compile

import (
	"cmp"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// This file has the groups and meters of the fabric bridge.

// groupEntries returns the groups that send a packet to all other hosts, or to those with machines of a
// network.
func (s *fabricSource) groupEntries() (out []ofproto.GroupEntry) {
	for i := range s.networks {
		n := &s.networks[i]
		if n.Broadcast == routing.BroadcastNone || n.uplink != 0 {
			continue
		}
		some := ofproto.GroupEntry{ID: n.group, Type: ofproto.GroupTypeAll}
		all := ofproto.GroupEntry{ID: n.all, Type: ofproto.GroupTypeAll}
		for _, peer := range s.peers {
			if s.tunnel(peer) == 0 {
				continue
			}
			b := ofproto.Bucket{WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny, Actions: ofproto.ActionsOf(s.send(n, peer)...)}
			all.Buckets = append(all.Buckets, b)
			if n.groups[peer.ID] > 0 {
				some.Buckets = append(some.Buckets, b)
			}
		}
		out = append(out, chained(some)...)
		if n.Broadcast == routing.BroadcastAll {
			out = append(out, chained(all)...)
		}
	}
	slices.SortFunc(out, func(a, b ofproto.GroupEntry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// maxBuckets is the number of buckets of a group that fit into a message, which has at most 64 KiB. A
// bucket for an IPv6 tunnel has 80 bytes.
const maxBuckets = 500

// chained returns groups that together have the buckets of g. The first has the ID of g, and its first
// bucket continues in the second, and so on. The bucket comes first because Open vSwitch enters no group
// after it has collected 64 KiB of datapath actions. It enters at most 64 groups.
func chained(g ofproto.GroupEntry) (out []ofproto.GroupEntry) {
	for i, part := range slices.Collect(slices.Chunk(g.Buckets, maxBuckets)) {
		next := ofproto.GroupEntry{ID: partOf(g.ID, i), Type: g.Type}
		if (i+1)*maxBuckets < len(g.Buckets) {
			next.Buckets = append(next.Buckets, ofproto.Bucket{WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny, Actions: ofproto.ActionsOf(ofproto.ToGroup{ID: partOf(g.ID, i+1)})})
		}
		next.Buckets = append(next.Buckets, part...)
		out = append(out, next)
	}
	if out == nil {
		out = append(out, g)
	}
	return out
}

// partOf returns the ID of a part of a group. Other groups of the fabric bridge have 0 in bits 16 to 23.
func partOf(id ofproto.GroupID, part int) ofproto.GroupID { return id | ofproto.GroupID(part)<<16 }

// meterEntries returns the meters. They limit messages of other hosts, broadcasts, and the answers
// that go to the namespaces of other hosts.
func (s *fabricSource) meterEntries() (out []ofproto.MeterEntry) {
	if s.hello != 0 {
		out = append(out, rateMeter(s.hello, helloRate))
	}
	for i := range s.networks {
		n := &s.networks[i]
		if n.meter == 0 || n.Broadcast == routing.BroadcastNone {
			continue
		}
		out = append(out, rateMeter(n.meter, floodRate))
		if n.Broadcast == routing.BroadcastAll {
			out = append(out, rateMeter(n.answers, floodRate))
		}
	}
	slices.SortFunc(out, func(a, b ofproto.MeterEntry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// ofMeter is [Program.OfMeter] for the fabric bridge.
func (s *fabricSource) ofMeter(id ofproto.MeterID) (routing.Object, Role, bool) {
	if id != 0 && id == s.hello {
		return hostObject(s.host), RoleLimitedHello, true
	}
	for i := range s.networks {
		if n := &s.networks[i]; id != 0 && n.meter == id {
			return n.object(), RoleLimitedFlood, true
		}
	}
	return routing.Object{}, 0, false
}
