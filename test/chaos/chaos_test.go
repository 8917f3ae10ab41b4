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
	seed   = flag.Uint64("seed", 1, "decides which faults there are, and of what")
	faults = flag.Int("faults", 12, "how many faults there are")
	kills  = flag.Int("kills", 5, "how often the daemon is killed")
	only   = flag.String("only", "", "regular expression that the kinds of faults match")
)

func TestMain(m *testing.M) { lab.Main(m) }

// Whatever goes wrong or is changed, one thing after the other: it is mended,
// nobody loses a packet but those from whom the fault takes it, nothing is
// written that need not be, and no counter goes back.
func TestChaos(t *testing.T) { play(t, "FAULTS", *faults, chaos.Play) }

// Nobody notices that the daemon is killed and started again, whenever that
// happens.
func TestKills(t *testing.T) { play(t, "KILLS", *kills, chaos.Kills) }

// play plays as many faults and reports what came of it.
func play(t *testing.T, name string, times int, f func(context.Context, *lab.Host, chaos.Options) (*chaos.Report, error)) {
	h := lab.Boot(t)
	replay := fmt.Sprintf("make chaos SEED=%d %s=%d", *seed, name, times)
	o := chaos.Options{Seed: *seed, Faults: times, Log: func(format string, args ...any) { fmt.Fprintf(t.Output(), format+"\n", args...) }}
	if *only != "" {
		o.Only = regexp.MustCompile(*only)
		replay += fmt.Sprintf(" ONLY=%q", *only)
	}
	t.Logf("seed %d; to play it again: %s", *seed, replay)
	report, err := f(t.Context(), h, o)
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
		t.Logf("to play it again: %s", replay)
	}
}
