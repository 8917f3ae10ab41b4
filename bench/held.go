package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// comeAndGo makes and deletes a router repeatedly. Each time, the daemon makes and removes the
// bridge and the namespace, and reads and writes its files.
func (d *stored) comeAndGo(ctx context.Context) error {
	const path = "/v1/routers/guest"
	remove := func(ctx context.Context) error { return d.change(ctx, http.MethodDelete, path, nil) }
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attackTime)
		defer cancel()
		remove(ctx) // it may not exist
	}()
	return untilDone(ctx, func() error {
		err := d.change(ctx, http.MethodPut, path, fmt.Appendf(nil, `{"interfaces":[{"id":"guest","network":"small","mac":%q,"addresses":["192.168.3.1/24"]}]}`, macAddress(1, 10)))
		return errors.Join(err, pause(ctx, time.Second), remove(ctx), pause(ctx, time.Second))
	})
}

// heldLocks runs processes that hold the lock of /run/netns, which every user can hold. They
// also wait for the locks of the daemon and of its store, as a process can that has opened the
// lock file of an earlier version.
func (d *stored) heldLocks(ctx context.Context, r *rand.Rand) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.comeAndGo(ctx) })
	for _, path := range []string{"/run/netns", "/run/ofdvr/lock", filepath.Join(d.dir, "state", "intent.db")} {
		own, user := rand.New(rand.NewPCG(r.Uint64(), 0)), 0
		if path == "/run/netns" {
			user = hostile.Nobody
		}
		g.Go(func() error {
			return untilDone(ctx, func() error {
				p, err := hostile.Lock(d.h, path, user)
				if err != nil {
					return err
				}
				defer p.Kill()
				return pause(ctx, time.Duration(own.Int64N(int64(2*time.Second))))
			})
		})
	}
	return g.Wait()
}

// impostors puts links, pipes and other users' files in place of the daemon's files in its run
// directory. It fails if the daemon changes one of them, or a link's target.
func (d *stored) impostors(ctx context.Context, r *rand.Rand) error {
	const theirs, dir = "/run/theirs", "/run/ofdvr/"
	root := d.h.Path("")
	if err := os.WriteFile(root+theirs, []byte("theirs"), 0o644); err != nil {
		return err
	}
	paths := []string{dir + "counters.json", dir + "external-bridges.json"}
	err := filepath.WalkDir(root+dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			paths = append(paths, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	kinds := hostile.Impostors()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.comeAndGo(ctx) })
	g.Go(func() error {
		return untilDone(ctx, func() error {
			in, path := kinds[r.IntN(len(kinds))], paths[r.IntN(len(paths))]
			if err := replace(ctx, root, path, theirs, in, time.Duration(r.Int64N(int64(time.Second)))); err != nil {
				return fmt.Errorf("%s in place of %s: %w", in.Kind, path, err)
			}
			return nil
		})
	})
	err = g.Wait()
	text, readErr := os.ReadFile(root + theirs)
	_, newErr := os.Lstat(root + theirs + ".new")
	if string(text) != "theirs" || !errors.Is(newErr, fs.ErrNotExist) {
		return fmt.Errorf("the daemon followed a link: %q, %v, %v", text, readErr, newErr)
	}
	return err
}

// replace puts an impostor in place of a file for some time. The daemon must not change it.
func replace(ctx context.Context, root, path, theirs string, in hostile.Impostor, how time.Duration) (err error) {
	saved := root + "/run/saved"
	if err := os.Rename(root+path, saved); err == nil {
		defer func() { err = errors.Join(err, os.RemoveAll(root+path), os.Rename(saved, root+path)) }()
	} else if errors.Is(err, fs.ErrNotExist) {
		defer os.RemoveAll(root + path)
	} else {
		return err
	}
	if err := in.Make(root, path, theirs); errors.Is(err, fs.ErrExist) { // the daemon has already written a new one
		return nil
	} else if err != nil {
		return err
	}
	before, err := os.Lstat(root + path)
	if err != nil {
		return err
	}
	pause(ctx, how)
	after, err := os.Lstat(root + path)
	if err == nil && !os.SameFile(before, after) {
		err = errors.New("the daemon replaced it")
	}
	return err
}
