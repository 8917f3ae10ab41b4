package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// vswitchd starts a fake ovs-vswitchd that answers traces by bridge. It returns the endpoint
// of a database in the directory of its control socket.
func vswitchd(t *testing.T, answer func(bridge string) (result, err string)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "ovs-vswitchd.7.ctl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var call struct{ Params []string }
				if json.NewDecoder(conn).Decode(&call) != nil {
					return
				}
				reply := map[string]any{"id": 1, "result": nil, "error": nil}
				if result, err := answer(call.Params[0]); err != "" {
					reply["error"] = err
				} else {
					reply["result"] = result
				}
				json.NewEncoder(conn).Encode(reply)
			}()
		}
	}()
	return "unix:" + filepath.Join(dir, "db.sock")
}

// manyPatchPorts returns a pass over n routers in the database, with one interface each.
func manyPatchPorts(endpoint string, n int) *pass {
	l := &Lifecycle{cfg: Config{IntegrationBridge: "br-int", OVSDB: endpoint}, database: newDatabase(), log: zap.NewNop()}
	p := &pass{Lifecycle: l}
	port := func(name string) ovsdb.PortRow {
		return ovsdb.PortRow{Name: name, Interfaces: []ovsdb.InterfaceRow{{Name: name, OFPort: 1}}}
	}
	var state ovsdb.State
	integration := ovsdb.BridgeRow{Name: "br-int"}
	for i := range n {
		id := fmt.Sprintf("r%03d", i)
		r := &routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{{ID: id}}}
		p.routers = append(p.routers, &managed{Router: r})
		integration.Ports = append(integration.Ports, port(r.Interfaces[0].PeerName()))
		state.Bridges = append(state.Bridges, ovsdb.BridgeRow{Name: r.BridgeName(), Ports: []ovsdb.PortRow{port(r.Interfaces[0].PatchName())}})
	}
	state.Bridges = append(state.Bridges, integration)
	p.database.setState(state, "br-int")
	return p
}

// Several ports are checked at a time. An error for one port, or a port that passes no packets, does
// not affect the others.
func TestAllPatchPortsAreChecked(t *testing.T) {
	var mu sync.Mutex
	waiting, together := 0, make(chan struct{})
	endpoint := vswitchd(t, func(bridge string) (string, string) {
		mu.Lock()
		if waiting++; waiting == asks {
			close(together)
		}
		mu.Unlock()
		<-together // no answer comes before the maximum number of parallel questions has arrived
		if bridge == "rb-r000" {
			return "", "Unknown bridge"
		}
		return "nothing", ""
	})
	p := manyPatchPorts(endpoint, 20)
	p.peers(t.Context(), true)
	if len(p.database.patches["r000"]) != 1 { // want one problem, of the end at br-int
		t.Errorf("r000: %v", p.database.patches["r000"])
	}
	for _, r := range p.routers[1:] {
		if got := p.database.patches[r.ID]; len(got) != 2 || !strings.Contains(got[0], "no packet passes") {
			t.Errorf("%s: %v", r.ID, got)
		}
	}
}

// An audit that ends before all ports were checked continues with the rest next time.
func TestAuditOfPatchPortsContinues(t *testing.T) {
	p := manyPatchPorts("", 100)
	audit := func() map[string]int { // audit returns the number of questions by bridge in an audit that ends early
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		asked := make(map[string]int)
		p.cfg.OVSDB = vswitchd(t, func(bridge string) (string, string) {
			mu.Lock()
			defer mu.Unlock()
			if asked[bridge]++; len(asked) == 25 {
				cancel()
			}
			return "nothing", ""
		})
		p.peers(ctx, true)
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(asked)
	}
	audit()
	first := p.database.audited
	if first == 0 || first > 2*(25+asks) {
		t.Fatalf("the first audit reached port %d", first)
	}
	next := p.joints(p.routers[first/2].Router)[0].questions(p.database.rows)[first%2]
	if asked := audit(); asked[next.bridge] == 0 || asked["rb-r000"] > 0 {
		t.Errorf("the second audit asked about %v, want %s first", asked, next.bridge)
	}
	if p.database.audited <= first {
		t.Errorf("the second audit continued at port %d and reached %d", first, p.database.audited)
	}
}
