package controller

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// socketDir is the directory of the management sockets of bridges, unless the database's
// socket is in another directory.
const socketDir = "/var/run/openvswitch"

// scanInterval is the time between two searches for new bridges while the daemon stands by.
const scanInterval = time.Second

// standsBy reports whether another daemon leads. It returns false while this daemon is
// starting.
func (c *Controller) standsBy(w *world) bool { return c.cfg.Lead != nil && !w.lead }

// standBy connects to the management sockets of the topology's bridges until this daemon may
// lead. The connections stay open until each bridge has connected by itself.
func (c *Controller) standBy(ctx context.Context) error {
	c.log.Info("standing by, another daemon leads")
	dir := socketDir
	if path, ok := strings.CutPrefix(c.cfg.OVSDB, "unix:"); ok {
		dir = filepath.Dir(path)
	}
	dialing, stop := context.WithCancel(ctx)
	defer stop()
	dialed := make(map[string]bool)
	look := time.NewTicker(scanInterval)
	defer look.Stop()
	for {
		bridges, err := ask(ctx, c, func(w *world) (names []string) {
			for _, st := range w.states() {
				if name := st.router.BridgeName(); name != "" {
					names = append(names, name)
				}
			}
			return names
		})
		if err != nil {
			return err
		}
		for _, name := range bridges {
			if !dialed[name] {
				dialed[name] = true
				c.standbys.Go(func() { c.dial(ctx, dialing, endpoint{"unix", filepath.Join(dir, name+".mgmt")}, true) })
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.cfg.Lead:
			c.log.Info("taking over")
			return nil
		case <-look.C:
		}
	}
}
