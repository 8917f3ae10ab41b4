package controller

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// onBridge returns a world with an intent that has router id on external bridge b.
func onBridge(id string, b routing.Bridge) *world {
	x := new(routing.Index).With(routing.Change{Put: routing.Model{Routers: []routing.Router{{ID: id, Bridge: b}}}})
	return &world{lead: true, intent: &ledger.Intent{Complete: true, Index: x}, routers: make(map[string]*routerState)}
}

// The file of external bridges is written again after a failed write.
func TestSavingExternalBridgesIsRetried(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := &Controller{log: zap.NewNop(), external: external{file: filepath.Join(dir, "external.json")}}
	w := onBridge("r1", routing.Bridge{Name: "br-x"})
	c.programs(w, w.intent.Index.Router("r1")) // the directory does not exist
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.bridgesExist(w, nil)
	var got []keptBridge
	data, err := os.ReadFile(c.external.file)
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil || len(got) != 1 || got[0].Name != "br-x" {
		t.Errorf("%v, %v", got, err)
	}
}

// If another router gets a bridge while it is being cleared, the session ends. The switch
// reconnects, and the other router uses the bridge.
func TestTakeOverDuringClearing(t *testing.T) {
	c := &Controller{log: zap.NewNop()}
	before := onBridge("r1", routing.Bridge{Name: "br-x"})
	c.programs(before, before.intent.Index.Router("r1"))
	var stopped error
	s := &session{bridge: "br-x", stop: func(err error) { stopped = err }}
	old := externalBridge{Router: "r1", Name: "br-x"}
	c.external.retired[old] = s
	c.retire(onBridge("r2", routing.Bridge{Name: "br-x"}), nil)
	if _, still := c.external.retired[old]; still || stopped == nil {
		t.Errorf("the bridge is still being cleared: %v; the cause of its session's end: %v", still, stopped)
	}
}

// A bridge that has never connected has no flows of ours. Removing its router does not wait
// for it.
func TestRemovalIgnoresNeverConnectedBridge(t *testing.T) {
	c := &Controller{log: zap.NewNop()}
	c.retire(onBridge("r1", routing.Bridge{Name: "br-x"}), nil)
	gone := onBridge("r2", routing.Bridge{Managed: true})
	c.retire(gone, nil)
	if waits := c.retiring("r1"); len(waits) > 0 {
		t.Errorf("the removal waits for %v", waits)
	}
	c.programs(onBridge("r1", routing.Bridge{Name: "br-x"}), &routing.Router{ID: "r1", Bridge: routing.Bridge{Name: "br-x"}})
	c.retire(gone, nil)
	if waits := c.retiring("r1"); len(waits) != 1 {
		t.Errorf("the removal waits for %v, want the bridge that has connected", waits)
	}
}
