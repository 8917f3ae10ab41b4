package topology_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/routing/topology"
)

func TestShapePath(t *testing.T) {
	for _, tt := range []struct {
		shape      topology.Shape
		path, want string
	}{
		{topology.ShapeTopology, "ports[0].mac", "ports[0].mac"},
		{topology.ShapeTopology, "", ""},
		{topology.ShapeBatch, "ports[0].mac", "put.ports[0].mac"},
		{topology.ShapeBatch, "", ""},
		{topology.ShapeNetwork, "networks[0].vlan", "vlan"},
		{topology.ShapeNetwork, "networks[0]", ""},
		{topology.ShapeNetwork, "networks[01].vlan", ""},
		{topology.ShapeNetwork, "ports[0].mac", ""},
		{topology.ShapeHost, "hosts[0].tunnel.address", "tunnel.address"},
		{topology.ShapeRouter, "routers[0].interfaces[1].mac", "interfaces[1].mac"},
		{topology.ShapeRouter, "routers[1].interfaces[1].mac", ""},
		{topology.ShapePort, "ports[0].mac", "mac"},
		{topology.ShapePort, "ports[0].addresses[3]", "addresses[3]"},
		{topology.ShapeSnapshot, "routers[0].interfaces[1].mac", "router.interfaces[1].mac"},
		{topology.ShapeSnapshot, "routers[0]", "router"},
		{topology.ShapeSnapshot, "networks[2].vlan", "networks[2].vlan"},
		{topology.ShapeSnapshot, "ports[2]", "ports[2]"},
		{topology.ShapeSnapshot, "", ""},
	} {
		if got := tt.shape.Path(tt.path); got != tt.want {
			t.Errorf("shape %d: path %q is translated to %q, want %q", tt.shape, tt.path, got, tt.want)
		}
	}
}

func TestPointer(t *testing.T) {
	for path, want := range map[string]string{
		"":                             "",
		"put.ports[0].mac":             "/put/ports/0/mac",
		"routers[10].interfaces[1]":    "/routers/10/interfaces/1",
		"id":                           "/id",
		"a/b.c~d":                      "/a~1b/c~0d",
		"router.bridge.datapath_id":    "/router/bridge/datapath_id",
		"delete.networks[2]":           "/delete/networks/2",
		"ports[123456789].addresses[]": "/ports/123456789/addresses/-1",
	} {
		if got := topology.Pointer(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}
