package compile

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// groupIDs returns a group number for each route of r. Only routes with several next hops need
// one. The numbers depend on the destinations.
func groupIDs(r *routing.Router) []ofproto.GroupID {
	ids := numbers(len(r.Routes), func(i int) string { return r.Routes[i].Destination.String() }, uint32(^groupMarkMask>>1))
	out := make([]ofproto.GroupID, len(ids))
	for i, id := range ids {
		out[i] = groupMark | ofproto.GroupID(id)
	}
	return out
}

// numbers returns a number for each of n names: a hash of the name, masked by
// mask. If another name has this number, or it is one of not, the result is the
// next free number.
func numbers(n int, name func(int) string, mask uint32, not ...uint32) []uint32 {
	out := make([]uint32, n)
	taken := make(map[uint32]bool, n)
	for _, id := range not {
		taken[id] = true
	}
	for i := range out {
		sum := sha256.Sum256([]byte(name(i)))
		id := binary.BigEndian.Uint32(sum[:]) & mask
		for taken[id] {
			id = (id + 1) & mask
		}
		out[i], taken[id] = id, true
	}
	return out
}

// slots is the number of buckets of a group. A switch selects the bucket by a hash of the
// packet's addresses and ports. The number and the weights of the buckets never change, so a
// connection keeps its bucket. It gets another next hop only if its bucket does.
const slots = 64

// share assigns a next hop to each slot by rendezvous hashing: the next hop with the highest
// weighted hash of slot and address gets the slot. If a next hop is deleted, only its slots
// change.
func share(hops []routing.NextHop) [slots]int {
	var out [slots]int
	for s := range out {
		best := math.Inf(-1)
		for i, h := range hops {
			if score := float64(h.Weight) / -math.Log(uniform(s, h.Address)); score > best {
				best, out[s] = score, i
			}
		}
	}
	return out
}

// uniform returns a hash of a slot and an address, in the open interval (0, 1).
func uniform(slot int, a netip.Addr) float64 {
	b := a.As16()
	sum := sha256.Sum256(append(b[:], byte(slot)))
	return (float64(binary.BigEndian.Uint64(sum[:])>>11) + 0.5) / (1 << 53)
}

// groupEntries returns a group for each route with several next hops. If the
// address of a next hop belongs to no port, the route has no group.
func (s source) groupEntries() (out []ofproto.GroupEntry) {
	c := compiler{source: s}
	for i := range s.router.Routes {
		route := &s.router.Routes[i]
		if len(route.NextHops) < 2 {
			continue
		}
		hops := s.hops(route)
		if _, ok := c.exit(route, hops); !ok {
			continue
		}
		buckets := make([]ofproto.Bucket, slots)
		for slot, n := range share(route.NextHops) {
			h := hops[n]
			buckets[slot] = ofproto.Bucket{Weight: 1, WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny, Actions: s.legs[h.leg].forward(h.mac, h.away)}
		}
		out = append(out, ofproto.GroupEntry{ID: s.groups[i], Type: ofproto.GroupTypeSelect, Buckets: buckets})
	}
	slices.SortFunc(out, func(a, b ofproto.GroupEntry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
