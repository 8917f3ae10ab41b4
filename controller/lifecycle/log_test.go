package lifecycle

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ofdvr/ofdvr/ovsdb"
)

func TestLogOps(t *testing.T) {
	row := func(t ovsdb.Table, name string) ovsdb.Row {
		return ovsdb.Row{Table: t, UUID: string(t) + name, Name: name}
	}
	root, bridge, port := row(ovsdb.TableRoot, ""), row(ovsdb.TableBridge, "rb"), row(ovsdb.TablePort, "p1")
	ops := []ovsdb.Op{
		{Verb: ovsdb.Remove, Router: "old", Row: row(ovsdb.TableBridge, "rb-old"), Parent: root},
		{Verb: ovsdb.Update, Router: "r", Row: row(ovsdb.TablePort, "p0"), Set: map[string]any{"tag": 1}},
		{Verb: ovsdb.Insert, Router: "r", Row: bridge, Parent: root},
		{Verb: ovsdb.Insert, Router: "r", Row: row(ovsdb.TableController, "tcp:"), Parent: bridge},
		{Verb: ovsdb.Insert, Router: "r", Row: row(ovsdb.TablePort, "rb"), Parent: bridge},
		{Verb: ovsdb.Insert, Router: "r", Row: port, Parent: bridge},
		{Verb: ovsdb.Insert, Router: "r", Row: row(ovsdb.TableInterface, "p1"), Parent: port},
		{Verb: ovsdb.Insert, Router: "s", Row: row(ovsdb.TableController, "tcp:"), Parent: row(ovsdb.TableBridge, "rb-s")},
		{Verb: ovsdb.Remove, Fabric: true, Network: "n", Row: row(ovsdb.TablePort, "fi-n"), Parent: bridge},
		{Verb: ovsdb.Update, Fabric: true, Network: "n", Row: row(ovsdb.TablePort, "tap1"), Set: map[string]any{"tag": 1}},
	}
	logged := func(repairs bool) (got []string) {
		core, logs := observer.New(zap.InfoLevel)
		logOps(zap.New(core), ops, repairs)
		for _, e := range logs.All() {
			got = append(got, fmt.Sprint(e.Level, " ", e.Message, " ", e.ContextMap()))
		}
		return got
	}
	want := []string{
		"info changed OVSDB map[remove:rb-old router:old]",
		"info changed OVSDB map[router:r update:Port p0 (tag)]",
		"info changed OVSDB map[insert:rb, p1 router:r]",
		"info changed OVSDB map[insert:tcp: router:s]",
		"info changed OVSDB map[fabric:true remove:fi-n router:]",
		"info changed the tags or marks of machines' ports map[fabric:true router: update:Port tap1 (tag)]",
	}
	if got := logged(false); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if got, want := logged(true)[1], "warn repaired rows of OVSDB that another program had changed map[router:r update:Port p0 (tag)]"; got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}
