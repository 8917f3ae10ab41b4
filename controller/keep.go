package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
)

// What was counted has to outlive the daemon, because a scrape after a restart
// must not show less than one before it. The switch's own counters go on
// meanwhile. So a file keeps, of each sum, what was told last, and the part of it
// that flows counted which have gone: the rest is still in the switch. It lies
// where it goes when the machine restarts, as the switch's counters do.

// keptCounters are what the file has of one router.
type keptCounters struct {
	Told   sums // the sums, as they were told last
	Before sums // of that, what flows counted that have gone since
}

// raise makes every sum at least as large as in least.
func (s sums) raise(least sums) {
	for iface, byRole := range least {
		for role, t := range byRole {
			now := s[iface][role]
			s.add(iface, role, Tally{max(t.Packets, now.Packets) - now.Packets, max(t.Bytes, now.Bytes) - now.Bytes})
		}
	}
}

// loadCounters returns the counters that the daemon before this one kept. What
// cannot be read is told, and counting starts from zero.
func (c *Controller) loadCounters() map[string]*routerCounters {
	if c.counters.file == "" {
		return nil
	}
	kept := make(map[string]*keptCounters)
	data, err := os.ReadFile(c.counters.file)
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("could not read the counters that were kept, counting from what the switches have",
			zap.String("file", c.counters.file), zap.Error(err))
		return nil
	}
	out := make(map[string]*routerCounters, len(kept))
	for id, k := range kept {
		if k == nil || k.Told == nil || k.Before == nil {
			continue
		}
		rc := &routerCounters{sums: make(sums), kept: k}
		rc.sums.raise(k.Told)
		out[id] = rc
	}
	return out
}

// keepCounters writes the file.
func (c *Controller) keepCounters() {
	if c.counters.file == "" {
		return
	}
	kept := make(map[string]*keptCounters, len(c.counters.routers))
	for id, rc := range c.counters.routers {
		if kept[id] = rc.kept; rc.kept == nil {
			kept[id] = rc.keep()
		}
	}
	data, err := json.Marshal(kept)
	if err == nil {
		err = replaceFile(c.counters.file, data)
	}
	if n, ok := c.refusals.sample("counters"); err != nil && ok {
		c.log.Warn("could not keep the counters, they may go back when the daemon restarts", zap.Error(err), zap.Int("before", n))
	}
}

func (rc *routerCounters) keep() *keptCounters {
	k := &keptCounters{Told: rc.sums, Before: make(sums)}
	there := make(sums)
	for _, f := range rc.last {
		there.add(f.iface, f.role, f.Tally)
	}
	for iface, byRole := range rc.sums {
		for role, t := range byRole {
			now := there[iface][role]
			k.Before.add(iface, role, Tally{t.Packets - now.Packets, t.Bytes - now.Bytes})
		}
	}
	return k
}

// replaceFile writes a file that is never seen half written.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// A counted is what one flow counted, and for whom.
type counted struct {
	Tally
	iface string
	role  routing.Role
}
