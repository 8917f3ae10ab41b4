package counters

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/routing"
)

// After a restart of the daemon, counters must not be smaller than before. The switch continues to
// count while no daemon runs. Therefore the file has two values for each sum: the last reported
// value, and the part of this value that was counted by deleted flows. The rest is still in the
// counters of the switch. A restart of the machine clears the switch's counters, and also the file,
// which is on a temporary file system.

// keptCounters is the file's entry for one router.
type keptCounters struct {
	Reported sums // the last reported sums
	// Before is the part of Reported that was counted by deleted flows. If existing flows have
	// counted an implausible amount, which is not added, Before may be negative (modulo 2^64).
	Before sums
	At     time.Duration `json:",omitempty"` // time of the reading, since the start of the machine; 0 if not known
}

// load reads the counters that the previous daemon saved, at the first call only. If it cannot read
// the file, it logs a warning, and counting starts from the values of the switches.
func (b *Book) load() {
	if b.loaded {
		return
	}
	b.loaded, b.routers = true, make(map[string]*routerCounters)
	if b.cfg.File == "" {
		return
	}
	kept := make(map[string]*keptCounters)
	data, err := ownfile.ReadFile(b.cfg.File)
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.cfg.Log.Warn("could not read the saved counters, counting from the values of the switches",
			zap.String("file", b.cfg.File), zap.Error(err))
		return
	}
	for id, k := range kept {
		if k == nil || k.Reported == nil || k.Before == nil {
			continue
		}
		b.routers[id] = restored(id, k)
	}
}

// restored returns the counters of a router as the previous daemon reported them.
func restored(router string, k *keptCounters) *routerCounters {
	rc := newRouterCounters(router)
	rc.kept = k
	rc.sums.raise(k.Reported)
	for about := range k.Reported {
		if about.kind == routing.KindPort {
			rc.reported[about] = true
		}
	}
	return rc
}

// save writes the file.
func (b *Book) save() {
	if b.cfg.File == "" {
		return
	}
	kept := make(map[string]*keptCounters, len(b.routers))
	for id, rc := range b.routers {
		if kept[id] = rc.kept; rc.kept == nil {
			kept[id] = rc.keep()
		}
	}
	data, err := json.Marshal(kept)
	if err == nil {
		err = ownfile.WriteFile(b.cfg.File, data, 0o600)
	}
	if err != nil {
		b.cfg.SaveFailed(err)
	}
}

// keep returns the file's entry for rc.
func (rc *routerCounters) keep() *keptCounters {
	k := &keptCounters{Reported: make(sums), Before: make(sums), At: rc.at}
	for about, t := range rc.sums.all() {
		if about.kind == routing.KindPort && !rc.reported[about] {
			continue
		}
		now := rc.there[about]
		k.Reported[about], k.Before[about] = t, Tally{t.Packets - now.Packets, t.Bytes - now.Bytes}
	}
	return k
}
