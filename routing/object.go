package routing

import "fmt"

// An Object is the part of a [Model] that a flow or an error is about.
type Object struct {
	Kind Kind
	ID   string
	// Interface is the ID of the router interface that the flow belongs to. It depends on the
	// Kind:
	//   - For a router it is "".
	//   - For an interface it is its own ID.
	//   - For a port, and for a route with a next hop, it is the interface by which packets
	//     leave.
	//   - For a route that only the kernel can forward, it is the interface by which packets
	//     enter.
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
	KindNetwork // has no flows
	KindRoute   // its ID is its destination
	KindHost
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
	case KindHost:
		return "host"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}
