package etcd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// disguise starts a server with a version of its own in front of a real one.
func disguise(t *testing.T, endpoint, version string) (*lab.EtcdDisguise, *etcd.Store) {
	t.Helper()
	d, err := lab.DisguiseEtcd(endpoint, version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	s, err := etcd.Open(etcd.Config{Endpoints: []string{d.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return d, s
}

// Versions with known faults of watches are a warning that names the server, its version and the
// version to use. Older versions than 3.5 are refused, and others are accepted.
func TestVersions(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	d, s := disguise(t, e.Endpoints[0], "")
	if warnings, err := s.Versions(t.Context(), time.Minute); len(warnings) > 0 || err != nil {
		t.Errorf("the real version: warnings %q, error %v", warnings, err)
	}
	for version, want := range map[string]string{
		"2.3.8": "refused", "3.3.27": "refused", "3.4.0": "refused", "3.4.23": "refused", "3.4.40": "refused",
		"3.5.0": "3.5.33", "3.5.1": "3.5.33", "3.5.32": "3.5.33", "3.5.33": "", "3.5.40": "",
		"3.6.0": "3.6.14", "3.6.13": "3.6.14", "3.6.0-rc.1": "3.6.14", "3.6.14": "", "3.6.20": "",
		"3.7.0": "3.7.1", "3.7.0-alpha.0": "3.7.1", "3.7.1": "", "3.7.3": "", "3.8.0": "", "3.10.0": "", "4.0.0": "",
		"unknown": "3.7.1", "3": "3.7.1",
	} {
		d.SetVersion(version)
		warnings, err := s.Versions(t.Context(), time.Minute)
		text := strings.Join(warnings, "\n")
		switch {
		case want == "refused":
			if !errors.Is(err, etcd.ErrOld) || !strings.Contains(err.Error(), d.Endpoint+" has version "+version) {
				t.Errorf("version %s: error %v", version, err)
			}
		case err != nil:
			t.Errorf("version %s: %v", version, err)
		case want == "" && text != "":
			t.Errorf("version %s: warning %q", version, text)
		case !strings.Contains(text, want) || want != "" && (!strings.Contains(text, version) || !strings.Contains(text, d.Endpoint)):
			t.Errorf("version %s: warning %q, want %q", version, text, want)
		}
	}
}

// A host uses an etcd with known faults, with a warning in the status and one in the log. It does not
// use an etcd that is too old until that is upgraded.
func TestVersionsOfAHost(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	front, s := disguise(t, e.Endpoints[0], "3.5.10")
	core, logged := observer.New(zapcore.InfoLevel)
	store := etcd.Checked(s, zap.New(core))
	load := func(store ledger.Store, enough func(ledger.Contents) bool) {
		t.Helper()
		lab.Eventually(t, time.Minute, "the version to be known", func() error { // the limit for an answer is short
			if c, err := store.Load(t.Context()); err != nil || !enough(c) {
				return fmt.Errorf("contents %+v, error %w", c, err)
			}
			return nil
		})
	}
	load(store, func(c ledger.Contents) bool {
		return strings.Contains(strings.Join(c.Warnings, "\n"), "has version 3.5.10, whose watches can lose events")
	})
	if n := logged.FilterMessageSnippet("has version 3.5.10").Len(); n != 1 {
		t.Errorf("the warning is logged %d times, want 1", n)
	}
	d := deskFor(t, store, discard{})
	if err := d.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	front.SetVersion("3.4.23")
	load(store, func(c ledger.Contents) bool { return errors.Is(c.Err, etcd.ErrOld) && c.Model.Len() == 0 })
	front.SetVersion("3.7.3")
	load(store, func(c ledger.Contents) bool { return c.Err == nil && len(c.Warnings) == 0 && c.Model.Len() == 1 })
}
