package main

import (
	"fmt"
	"strings"
	"testing"
)

// 1,800 warnings of one kind are printed as one line with their number, by check, plan and
// apply.
func TestManyWarnings(t *testing.T) {
	var b strings.Builder
	b.WriteString(goodTopology)
	const n = 1800
	for i := range n {
		fmt.Fprintf(&b, "  - {id: p%d, network: blue, mac: \"02:00:00:01:%02x:%02x\"}\n", i, i>>8, i&0xff)
	}
	inDir(t, map[string]string{"many.yaml": b.String()})
	d := startDaemon(t, nil, 0)
	const text = `port "p0" has no address, so nothing is routed to it (and 1799 more like this)`
	const place = "many.yaml:12:5: ports[2]: "
	var out, errOut strings.Builder
	if status := run(t.Context(), []string{"check", "many.yaml"}, &out, &errOut); status != 0 || errOut.String() != place+text+" (warning)\n" {
		t.Errorf("check exits with %d:\n%s", status, &errOut)
	}
	if plan, _ := d.ofdvr(2, "plan", "many.yaml"); !strings.HasSuffix(plan, "\n! "+text+"\n") || strings.Count(plan, "has no address") != 1 {
		t.Errorf("the plan ends with %q", plan[max(0, len(plan)-300):])
	}
	if _, errOut := d.ofdvr(0, "apply", "many.yaml"); errOut != "warning: "+place+text+"\n" {
		t.Errorf("apply warns:\n%s", errOut)
	}
}
