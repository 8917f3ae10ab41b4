package compile

import (
	"maps"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Facts are observations of one routing bridge and of the router's namespace.
type Facts struct {
	Ports  Ports
	Can    Capabilities
	Kernel *Kernel // nil if the router has no namespace, or it has not been read yet
	// Neighbours are the resolved neighbours of the namespace, or nil if they have not
	// been read yet.
	Neighbours *Neighbours
	// Host is the ID of this host, or "" if it has no fabric bridge.
	Host string
	// Awaits has the interfaces of the router, by ID, for whose networks the fabric bridge has no
	// flows yet. Their packets pass as if the networks were on this host only.
	Awaits map[string]bool
}

// Equal reports whether f and g are equal.
func (f Facts) Equal(g Facts) bool {
	return f.Can == g.Can && f.Host == g.Host && maps.Equal(f.Awaits, g.Awaits) && maps.Equal(f.Ports, g.Ports) && f.Kernel.Equal(g.Kernel) && f.Neighbours.Equal(g.Neighbours)
}

// Ports are the OpenFlow numbers of a bridge's ports, by name.
type Ports map[string]ofproto.PortNo

// Capabilities are features that only some OpenFlow 1.3 switches have. If a switch lacks the
// capability that a packet needs, the kernel handles the packet.
type Capabilities uint8

// The capabilities, which [Probes] detects.
const (
	CanAnswerARP   Capabilities = 1 << iota // turn an ARP request into the reply
	CanAnswerND                             // turn a neighbour solicitation into the advertisement
	CanAnswerEcho                           // turn an echo request into the reply
	CanMatchTTL                             // match packets with expired TTL
	CanCheckLength                          // detect packets larger than an MTU
	CanSelect                               // distribute packets among several next hops
	CanMeter                                // limit rates

	CanAll = CanMeter<<1 - 1
)

// capabilityNames has the names in the order of the constants.
var capabilityNames = []string{"arp_responder", "nd_responder", "echo_responder", "match_ttl", "check_pkt_larger", "select_group", "meter"}

// Has reports whether c has all of d.
func (c Capabilities) Has(d Capabilities) bool { return c&d == d }

// Names returns the names of c's capabilities.
func (c Capabilities) Names() []string {
	out := []string{}
	for i, name := range capabilityNames {
		if c>>i&1 != 0 {
			out = append(out, name)
		}
	}
	return out
}

func (c Capabilities) String() string { return strings.Join(c.Names(), ",") }
