package intent_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/routing/intent"
)

func TestShapePath(t *testing.T) {
	for _, tt := range []struct {
		shape      intent.Shape
		path, want string
	}{
		{intent.ShapeTopology, "ports[0].mac", "ports[0].mac"},
		{intent.ShapeTopology, "", ""},
		{intent.ShapeBatch, "ports[0].mac", "put.ports[0].mac"},
		{intent.ShapeBatch, "", ""},
		{intent.ShapeNetwork, "networks[0].vlan", "vlan"},
		{intent.ShapeNetwork, "networks[0]", ""},
		{intent.ShapeNetwork, "networks[01].vlan", ""},
		{intent.ShapeNetwork, "ports[0].mac", ""},
		{intent.ShapeRouter, "routers[0].interfaces[1].mac", "interfaces[1].mac"},
		{intent.ShapeRouter, "routers[1].interfaces[1].mac", ""},
		{intent.ShapePort, "ports[0].mac", "mac"},
		{intent.ShapePort, "ports[0].addresses[3]", "addresses[3]"},
		{intent.ShapeSnapshot, "routers[0].interfaces[1].mac", "router.interfaces[1].mac"},
		{intent.ShapeSnapshot, "routers[0]", "router"},
		{intent.ShapeSnapshot, "networks[2].vlan", "networks[2].vlan"},
		{intent.ShapeSnapshot, "ports[2]", "ports[2]"},
		{intent.ShapeSnapshot, "", ""},
	} {
		if got := tt.shape.Path(tt.path); got != tt.want {
			t.Errorf("shape %d: %q becomes %q, want %q", tt.shape, tt.path, got, tt.want)
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
		if got := intent.Pointer(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}
