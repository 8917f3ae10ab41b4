package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A family is a version of IP.
type family uint8

const (
	v4 family = iota
	v6
)

var families = [...]family{v4, v6}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

func (v family) is(a netip.Addr) bool { return familyOf(a) == v }

// field returns the field that matches packets of the family.
func (v family) field() ofproto.Field {
	if v == v4 {
		return ofproto.IPv4()
	}
	return ofproto.IPv6()
}

// match returns a match of packets of the family with the given fields.
func (v family) match(fields ...ofproto.Field) ofproto.Match {
	return ofproto.MatchOf(append(fields, v.field())...)
}

func src(p netip.Prefix) ofproto.Field {
	if p.Addr().Is4() {
		return ofproto.IPv4Src(p)
	}
	return ofproto.IPv6Src(p)
}

func dst(p netip.Prefix) ofproto.Field {
	if p.Addr().Is4() {
		return ofproto.IPv4Dst(p)
	}
	return ofproto.IPv6Dst(p)
}

// alone returns the prefix that contains only a.
func alone(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// linkLocalPrefix has the link-local addresses (RFC 4291 §2.5.6).
var linkLocalPrefix = netip.MustParsePrefix("fe80::/10")

func linkLocal(a netip.Addr) bool { return linkLocalPrefix.Contains(a) }
