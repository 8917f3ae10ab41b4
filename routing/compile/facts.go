package compile

import (
	"maps"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Facts are what has been observed of one routing bridge and of the router's
// namespace.
type Facts struct {
	Ports  Ports
	Can    Capabilities
	Kernel *Kernel // nil: nothing is known of the namespace, or there is none
	// Neighbours are those that the namespace has resolved; nil: it is not known.
	Neighbours *Neighbours
}

// Equal reports whether f and g are the same.
func (f Facts) Equal(g Facts) bool {
	return f.Can == g.Can && maps.Equal(f.Ports, g.Ports) && f.Kernel.Equal(g.Kernel) && f.Neighbours.Equal(g.Neighbours)
}

// Ports are the OpenFlow numbers of a bridge's ports, by their names.
type Ports map[string]ofproto.PortNo

// Capabilities say what a switch can do besides what every OpenFlow 1.3 switch
// can. What it cannot do is left to the kernel.
type Capabilities uint8

// The capabilities. [Probes] finds them out.
const (
	CanAnswerARP   Capabilities = 1 << iota // turn an ARP request into the reply
	CanAnswerND                             // turn a neighbour solicitation into the advertisement
	CanAnswerEcho                           // turn an echo request into the reply
	CanMatchTTL                             // recognize packets whose TTL has run out
	CanCheckLength                          // tell packets that are larger than an MTU
	CanSelect                               // share packets among several next hops
	CanMeter                                // limit rates

	CanAll = CanMeter<<1 - 1
)

// capabilityNames are in the order of the constants.
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
