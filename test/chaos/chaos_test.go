package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"testing"

	"github.com/ofdvr/ofdvr/test/chaos"
	"github.com/ofdvr/ofdvr/test/lab"
)

var (
	seed   = flag.Uint64("seed", 1, "selects the faults and their objects")
	faults = flag.Int("faults", 12, "number of faults")
	ofEtcd = flag.Int("etcd", 8, "number of faults of etcd")
	kills  = flag.Int("kills", 5, "number of kills of the daemon")
	only   = flag.String("only", "", "play only faults whose kind matches this regular expression")
)

func TestMain(m *testing.M) { lab.Main(m) }

// After each fault or change, the site is repaired. Only packets that the fault itself affects are
// lost. No unnecessary flow mod is sent, and no counter decreases.
func TestChaos(t *testing.T) { play(t, "FAULTS", *faults, alone(t, chaos.Play)) }

// Kills and restarts of the daemon at any moment do not affect traffic, flows or counters.
func TestKills(t *testing.T) { play(t, "KILLS", *kills, alone(t, chaos.Kills)) }

// alone returns f with a host of its own.
func alone(t *testing.T, f func(context.Context, *lab.Host, chaos.Options) (*chaos.Report, error)) func(context.Context, chaos.Options) (*chaos.Report, error) {
	h := lab.Boot(t)
	return func(ctx context.Context, o chaos.Options) (*chaos.Report, error) { return f(ctx, h, o) }
}

// The laws hold on each of three hosts, with faults of each and between them; each kind occurs.
func TestHosts(t *testing.T) {
	lab.Needs(t, "nft")
	hosts := []*lab.Host{lab.Boot(t), lab.Boot(t), lab.Boot(t)}
	_, links := lab.Connect(t, 0, hosts...)
	play(t, "FAULTS", max(*faults, chaos.HostKinds()), func(ctx context.Context, o chaos.Options) (*chaos.Report, error) {
		return chaos.PlayHosts(ctx, hosts, links, o)
	})
}

// The laws hold on each of three hosts that share their intent in etcd, with faults of etcd. Each
// answered write is in etcd afterwards.
func TestEtcd(t *testing.T) {
	lab.Needs(t, "nft")
	hosts := []*lab.Host{lab.Boot(t), lab.Boot(t), lab.Boot(t)}
	_, links := lab.Connect(t, 0, hosts...)
	play(t, "FAULTS", *ofEtcd, func(ctx context.Context, o chaos.Options) (*chaos.Report, error) {
		return chaos.PlayEtcd(ctx, hosts, links, t.TempDir(), 21000, o)
	})
}

// play plays the given number of faults and reports the results.
func play(t *testing.T, name string, times int, f func(context.Context, chaos.Options) (*chaos.Report, error)) {
	replay := fmt.Sprintf("make chaos SEED=%d %s=%d", *seed, name, times)
	o := chaos.Options{Seed: *seed, Faults: times, Log: func(format string, args ...any) { fmt.Fprintf(t.Output(), format+"\n", args...) }}
	if *only != "" {
		if o.Only = regexp.MustCompile(*only); !chaos.Known(o.Only) {
			t.Fatalf("no fault matches %v", o.Only)
		}
		replay += fmt.Sprintf(" ONLY=%q", *only)
	}
	t.Logf("seed %d; to repeat it: %s", *seed, replay)
	report, err := f(t.Context(), o)
	if report != nil {
		t.Logf("\n%v", report)
		for _, b := range report.Broken {
			t.Error(b)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("to repeat it: %s", replay)
	}
}
