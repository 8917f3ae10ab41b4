package topology

import (
	"strconv"
	"strings"
)

// A Shape is the structure of a request body that puts objects.
type Shape uint8

const (
	// ShapeTopology is a topology.
	ShapeTopology Shape = iota
	// ShapeBatch has a topology in its key put.
	ShapeBatch
	// ShapeNetwork is a network.
	ShapeNetwork
	// ShapeHost is a host.
	ShapeHost
	// ShapeRouter is a router.
	ShapeRouter
	// ShapePort is a port.
	ShapePort
	// ShapeSnapshot is a topology with the key router instead of routers.
	ShapeSnapshot
)

// Path translates a path in the put objects, such as "ports[0].mac", to the path in the body,
// such as "mac" or "put.ports[0].mac". If the body has no such path, Path returns "", which
// means the whole body.
func (s Shape) Path(path string) string {
	switch s {
	case ShapeBatch:
		if path != "" {
			return "put." + path
		}
	case ShapeNetwork:
		return below(path, "networks[0]")
	case ShapeHost:
		return below(path, "hosts[0]")
	case ShapeRouter:
		return below(path, "routers[0]")
	case ShapePort:
		return below(path, "ports[0]")
	case ShapeSnapshot:
		if rest, ok := strings.CutPrefix(path, "routers[0]"); ok {
			return "router" + rest
		}
		return path
	default:
		return path
	}
	return ""
}

// below returns path, which should begin with object, relative to object.
func below(path, object string) string {
	if rest, ok := strings.CutPrefix(path, object+"."); ok {
		return rest
	}
	return ""
}

// Pointer returns path as a JSON pointer (RFC 6901): "/put/ports/0/mac" for
// "put.ports[0].mac".
func Pointer(path string) string {
	var b []byte
	for path != "" {
		var s step
		s, path = cutStep(path)
		if s.key == "" {
			b = strconv.AppendInt(append(b, '/'), int64(s.index), 10)
			continue
		}
		b = append(b, PointerTo(s.key)...)
	}
	return string(b)
}

// PointerTo returns the JSON pointer to a key of a mapping, relative to the mapping.
func PointerTo(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
