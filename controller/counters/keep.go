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

// What was counted has to outlive the daemon, because a scrape after a restart
// must not show less than one before it. The switch's own counters go on
// meanwhile. So a file keeps, of each sum, what was told last, and the part of it
// that flows counted which have gone: the rest is still in the switch. It lies
// where it goes when the machine restarts, as the switch's counters do.

// keptCounters are what the file has of one router.
type keptCounters struct {
	Told sums // the sums, as they were told last
	// Before is what Told has besides what the flows in the switch have counted: of flows
	// that have gone or, as a number below zero (modulo 2^64), what flows count that was not
	// believed.
	Before sums
	At     time.Duration `json:",omitempty"` // when it was read, since the start of the machine; 0: not known
}

// load takes in the counters that the daemon before this one kept, at the first
// call. What cannot be read is told, and counting starts from zero.
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
		b.cfg.Log.Warn("could not read the counters that were kept, counting from what the switches have",
			zap.String("file", b.cfg.File), zap.Error(err))
		return
	}
	for id, k := range kept {
		if k == nil || k.Told == nil || k.Before == nil {
			continue
		}
		b.routers[id] = restored(id, k)
	}
}

// restored returns the counters of a router as the daemon before this one has
// told them.
func restored(router string, k *keptCounters) *routerCounters {
	rc := newRouterCounters(router)
	rc.kept = k
	rc.sums.raise(k.Told)
	for about := range k.Told {
		if about.kind == routing.KindPort {
			rc.told[about] = true
		}
	}
	return rc
}

// keep writes the file.
func (b *Book) keep() {
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
		b.cfg.Unkept(err)
	}
}

func (rc *routerCounters) keep() *keptCounters {
	k := &keptCounters{Told: make(sums), Before: make(sums), At: rc.at}
	for about, t := range rc.sums.all() {
		if about.kind == routing.KindPort && !rc.told[about] {
			continue
		}
		now := rc.there[about]
		k.Told[about], k.Before[about] = t, Tally{t.Packets - now.Packets, t.Bytes - now.Bytes}
	}
	return k
}
