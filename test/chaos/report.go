package chaos

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// An outcome is the result of one step.
type outcome struct {
	kind        string
	took        time.Duration // time to converge, from the end of the fault
	sent, lost  int           // numbers of packets, including losses that the fault explains
	known       int           // number of flows for neighbours, before and after
	mods, least int           // flow mods sent, and the smallest possible number
}

func (o outcome) String() string {
	return fmt.Sprintf("%6d ms  lost %d of %d  flow-mods %d, least %d", o.took.Milliseconds(), o.lost, o.sent, o.mods, o.least)
}

// A Report has the results of all steps.
type Report struct {
	Broken   []string // the broken laws, with details
	outcomes []outcome
}

// addBroken adds a law that a step has broken to the report.
func (r *Report) addBroken(step, format string, args ...any) {
	r.Broken = append(r.Broken, step+": "+fmt.Sprintf(format, args...))
}

// losses records losses that a step does not explain.
func (r *Report) losses(step string, wrong []loss, begin time.Time) {
	if len(wrong) == 0 {
		return
	}
	var b strings.Builder
	for _, l := range wrong {
		fmt.Fprintf(&b, "\n  %v: %d of %d, sent between %v and %v after the step began", l.pair, l.lost, l.sent,
			l.first.Sub(begin).Round(time.Millisecond), l.last.Sub(begin).Round(time.Millisecond))
	}
	r.addBroken(step, "packets were lost that the fault does not explain:%s", &b)
}

func (r *Report) add(o outcome) { r.outcomes = append(r.outcomes, o) }

// String returns a table with a line for each kind of fault and a total.
func (r *Report) String() string {
	var kinds []string
	for _, o := range r.outcomes {
		if !slices.Contains(kinds, o.kind) {
			kinds = append(kinds, o.kind)
		}
	}
	slices.Sort(kinds)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\ttimes\tp50\tp99\tmax (ms)\tlost\tof\tflow-mods\tleast\t")
	for _, kind := range kinds {
		r.line(w, kind, func(o outcome) bool { return o.kind == kind })
	}
	r.line(w, "all", func(outcome) bool { return true })
	w.Flush()
	return b.String()
}

func (r *Report) line(w *tabwriter.Writer, name string, match func(outcome) bool) {
	var took []time.Duration
	var sum outcome
	for _, o := range r.outcomes {
		if match(o) {
			took = append(took, o.took)
			sum.sent += o.sent
			sum.lost += o.lost
			sum.mods += o.mods
			sum.least += o.least
		}
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, len(took),
		quantile(took, 50).Milliseconds(), quantile(took, 99).Milliseconds(), took[len(took)-1].Milliseconds(),
		sum.lost, sum.sent, sum.mods, sum.least)
}

// quantile returns the given percentile of sorted durations.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}
