package routing

import "fmt"

// An Object is the part of a [Model] that a flow serves, or an error is about.
type Object struct {
	Kind Kind
	ID   string
	// Interface is the ID of the router interface that the flow belongs to:
	// the interface itself; for a port, and for the packets that a route sends to
	// its next hop, the one by which the router reaches it; for those of a route
	// that only the kernel can send on, the one that they came in by. "" for a
	// router.
	Interface string
}

func (o Object) String() string { return o.Kind.String() + " " + o.ID }

// Kind is the kind of an [Object].
type Kind uint8

// The kinds.
const (
	KindRouter Kind = iota + 1
	KindInterface
	KindPort
	KindNetwork // has no flows of its own
	KindRoute   // its ID is its destination
)

func (k Kind) String() string {
	switch k {
	case KindRouter:
		return "router"
	case KindInterface:
		return "interface"
	case KindPort:
		return "port"
	case KindNetwork:
		return "network"
	case KindRoute:
		return "route"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
