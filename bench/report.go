package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A section is a table of the report, as Markdown.
type section string

// A sample is one measured value of each round.
type sample []float64

func (s sample) median() float64 {
	t := slices.Sorted(slices.Values(s))
	n := len(t)
	if n%2 == 1 {
		return t[n/2]
	}
	return (t[n/2-1] + t[n/2]) / 2
}

// quantile returns the smallest value that is not less than a share q of all values.
func (s sample) quantile(q float64) float64 {
	t := slices.Sorted(slices.Values(s))
	return t[max(0, int(math.Ceil(q*float64(len(t))))-1)]
}

// over returns the ratios of s to t, round by round.
func (s sample) over(t sample) sample {
	out := make(sample, len(s))
	for i := range s {
		out[i] = s[i] / t[i]
	}
	return out
}

// spread returns the median, and in brackets the smallest and the largest value.
func (s sample) spread(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median(), slices.Min(s), slices.Max(s))
}

// table renders rows of cells as Markdown; the first row is the header.
func table(rows [][]string) section {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", len(row)) + "\n")
		}
	}
	return section(b.String())
}

// machine describes the machine and the software of the measurement.
func machine() string {
	cpu := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s, %s, datapath %s",
		runtime.NumCPU(), cpu, firstLine("uname", "-sr"), firstLine("ovs-vswitchd", "--version"), runtime.Version(), lab.Datapath())
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return name + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// writeReport replaces the text between the markers of the section called name in the
// Markdown file.
func writeReport(file, name, text string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("write the report: %s has no markers %q and %q", file, begin, end)
	}
	if err := os.WriteFile(file, []byte(before+begin+text+end+after), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
