package topology

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/ofdvr/ofdvr/routing"
)

// A Digest is a hash of the contents of an intent. Equal intents have equal digests, on every host
// and in every run of the daemon, whatever the order of their objects. It is the sum, modulo 2^256,
// of the SHA-256 hashes of the objects' documents. So the cost of an update is proportional to the
// number of changed objects. Use it for comparisons only: it does not protect against deliberate
// collisions. The zero Digest is the digest of the empty intent.
type Digest [4]uint64 // least significant word first

// DigestOf returns the digest of x. It takes time proportional to the number of objects.
func DigestOf(x *routing.Index) Digest { return Digest{}.Moved(new(routing.Index), x) }

// d is the digest of the Index from. Moved returns the digest of the Index to. If one of these was
// made from the other, the time is proportional to the number of objects that differ.
func (d Digest) Moved(from, to *routing.Index) Digest {
	var b []byte
	term := func(kind string) Digest {
		sum := sha256.Sum256(append(append(b, kind...), 0))
		var t Digest
		for i := range t {
			t[i] = binary.BigEndian.Uint64(sum[24-8*i:])
		}
		return t
	}
	for old, now := range from.Difference(to) {
		for i, o := range []routing.Piece{old, now} {
			kind := ""
			switch b = b[:0]; {
			case o.Host != nil:
				b, kind = AppendHost(b, o.Host), "host"
			case o.Network != nil:
				b, kind = AppendNetwork(b, o.Network), "network"
			case o.Router != nil:
				b, kind = AppendRouter(b, o.Router), "router"
			case o.Port != nil:
				b, kind = AppendPort(b, o.Port), "port"
			default:
				continue
			}
			d = d.plus(term(kind), i == 0)
		}
	}
	return d
}

// plus returns d + e, or d - e if minus is true.
func (d Digest) plus(e Digest, minus bool) Digest {
	carry := uint64(0)
	for i := range d {
		if minus {
			d[i], carry = bits.Sub64(d[i], e[i], carry)
		} else {
			d[i], carry = bits.Add64(d[i], e[i], carry)
		}
	}
	return d
}

// String returns 64 hexadecimal digits.
func (d Digest) String() string {
	var b [32]byte
	for i, w := range d {
		binary.BigEndian.PutUint64(b[24-8*i:], w)
	}
	return hex.EncodeToString(b[:])
}
