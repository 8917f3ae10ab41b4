package topology_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ofdvr/ofdvr/routing/topology"
)

// Many warnings of one kind become one warning with their number. Few warnings stay.
func TestCondense(t *testing.T) {
	var texts []string
	for i := range 1800 {
		texts = append(texts, fmt.Sprintf("t.yaml:%d:5: ports[%d]: port \"vm%d\" has no address, so nothing is routed to it", i+9, i, i))
	}
	for i := range 4 {
		texts = append(texts, fmt.Sprintf("t.yaml:%d:5: ports[%d].addresses[0]: address fd00::%x is outside every subnet of the router interfaces on network \"n\": it gets no fast path", i, i, i+9))
	}
	texts = append(texts, `t.yaml:1:2: networks[0]: no router has an interface on network "a"`, `t.yaml:1:9: networks[1]: no router has an interface on network "b"`)
	want := []string{
		`t.yaml:9:5: ports[0]: port "vm0" has no address, so nothing is routed to it (and 1799 more like this)`,
		`t.yaml:0:5: ports[0].addresses[0]: address fd00::9 is outside every subnet of the router interfaces on network "n": it gets no fast path (and 3 more like this)`,
		texts[1804], texts[1805],
	}
	if got := topology.Condense(texts); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if got := topology.Condense(texts[:3]); !slices.Equal(got, texts[:3]) {
		t.Errorf("few: %q", got)
	}
}
