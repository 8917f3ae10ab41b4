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
	}
	core, logs := observer.New(zap.InfoLevel)
	logOps(zap.New(core), ops)
	var got []string
	for _, e := range logs.All() {
		got = append(got, fmt.Sprint(e.Message, " ", e.ContextMap()))
	}
	want := []string{
		"changed OVSDB map[remove:rb-old router:old]",
		"changed OVSDB map[router:r update:Port p0 (tag)]",
		"changed OVSDB map[insert:rb, p1 router:r]",
		"changed OVSDB map[insert:tcp: router:s]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}
