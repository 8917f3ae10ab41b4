package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// ErrOld means that a server of etcd is too old.
var ErrOld = errors.New("ofdvr needs etcd 3.5 or later")

// sound has the first release of each series without known faults of watches. Later series have
// none, and series without an element are not supported.
var sound = []struct{ major, minor, patch int }{{3, 5, 33}, {3, 6, 14}, {3, 7, 1}}

// judge returns an error that wraps [ErrOld] if a server's version is too old, and a warning if it
// has known faults.
func judge(url, version string) (warning string, err error) {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 2 {
		return fmt.Sprintf("etcd's server %s has the unknown version %q: use 3.5.33, 3.6.14, 3.7.1 or later", url, version), nil
	}
	if first := sound[0]; major < first.major || major == first.major && minor < first.minor {
		return "", fmt.Errorf("etcd's server %s has version %s: %w: upgrade etcd", url, version, ErrOld)
	}
	for _, first := range sound {
		if major == first.major && minor == first.minor && patch < first.patch {
			return fmt.Sprintf("etcd's server %s has version %s, whose watches can lose events: this host may miss changes of the intent. Upgrade etcd to %d.%d.%d or later",
				url, version, first.major, first.minor, first.patch), nil
		}
	}
	return "", nil
}

// Versions asks all servers of etcd that answer within limit for their versions: those in the
// configuration, and the other members of their cluster. It returns a warning for each version with
// known faults. The error wraps [ErrOld] if a version is too old. Otherwise an error means that no
// server answered.
func (s *Store) Versions(ctx context.Context, limit time.Duration) (warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	var old, silent []error
	asked := make(map[string]bool)
	answered := false
	ask := func(urls []string) {
		var wait sync.WaitGroup
		for _, url := range urls {
			if asked[url] {
				continue
			}
			asked[url] = true
			wait.Go(func() {
				status, err := s.client.Status(ctx, url)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					silent = append(silent, fmt.Errorf("%s: %w", url, err))
					return
				}
				answered = true
				warning, err := judge(url, status.Version)
				if err != nil {
					old = append(old, err)
				}
				if warning != "" {
					warnings = append(warnings, warning)
				}
			})
		}
		wait.Wait()
	}
	ask(s.cfg.Endpoints)
	if answered {
		if list, err := s.client.MemberList(ctx); err == nil {
			for _, m := range list.Members {
				ask(m.ClientURLs)
			}
		}
	}
	slices.Sort(warnings)
	switch {
	case len(old) > 0:
		return warnings, errors.Join(old...)
	case !answered:
		return nil, explained(errors.Join(silent...))
	}
	return warnings, nil
}

// Checked returns s as a store that is not used while a server of etcd is too old. It checks the
// versions whenever s is loaded, and when etcd answers again. Versions with known faults are warnings
// of the source, and are logged.
func Checked(s *Store, log *zap.Logger) ledger.Store { return &checked{Store: s, log: log} }

type checked struct {
	*Store
	log      *zap.Logger
	warnings []string // owned by the goroutine that calls Load and Follow
}

// versionLimit is the time limit for servers that do not answer. Changes wait while the versions are
// checked.
const versionLimit = time.Second

// check returns an error if a version is too old.
func (c *checked) check(ctx context.Context) error {
	warnings, err := c.Versions(ctx, versionLimit)
	if errors.Is(err, ErrOld) {
		return err
	}
	if err != nil { // no server answers, which others report
		return nil
	}
	for _, w := range warnings {
		if !slices.Contains(c.warnings, w) {
			c.log.Warn(w)
		}
	}
	c.warnings = warnings
	return nil
}

// Load implements [ledger.Source].
func (c *checked) Load(ctx context.Context) (ledger.Contents, error) {
	if err := c.check(ctx); err != nil {
		return ledger.Contents{Model: new(routing.Model), Err: err}, nil
	}
	contents, err := c.Store.Load(ctx)
	contents.Warnings = append(contents.Warnings, c.warnings...)
	return contents, err
}

// Follow implements [ledger.Source].
func (c *checked) Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	away := false
	return c.Store.Follow(ctx, since, compare, func(u ledger.Update) error {
		if u.Err != nil {
			away = true
			return report(u)
		}
		if away {
			if err := c.check(ctx); err != nil {
				if err := report(ledger.Update{Err: err}); err != nil {
					return err
				}
				return ledger.ErrCompacted // then Load refuses etcd until it is upgraded
			}
		}
		away = false
		u.Warnings = append(u.Warnings, c.warnings...)
		return report(u)
	})
}
