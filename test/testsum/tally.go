package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// slow is from how many seconds on a test that passes gets a line of its own.
const slow = 0.2

// An event is one line of go test -json: see "go doc test2json" and, for
// builds, "go help buildjson".
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64 // seconds
	Output  string
}

// A tally counts tests and prints what happens to them.
type tally struct {
	w                       io.Writer
	passed, failed, skipped int
	packages                map[string]*pkg
	why                     []string // a line or a few for each test that failed, and each package that did without one
}

// A pkg is a package whose tests run.
type pkg struct {
	output                  strings.Builder // outside of any test
	tests                   map[string]*test
	passed, failed, skipped int
}

// A test is a top-level test that has not ended, with its subtests.
type test struct {
	output  strings.Builder
	running []string // names of it and its subtests that have not ended
}

func newTally(w io.Writer) *tally { return &tally{w: w, packages: make(map[string]*pkg)} }

// add takes note of an event. Events come in the order in which go test
// prints them; packages may be interleaved.
func (t *tally) add(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(t.w, e.Output)
	}
	if e.Package == "" {
		return
	}
	p := t.packages[e.Package]
	if p == nil {
		p = &pkg{tests: make(map[string]*test)}
		t.packages[e.Package] = p
	}
	if e.Test == "" {
		t.addPackage(p, e)
		return
	}
	top, _, _ := strings.Cut(e.Test, "/")
	c := p.tests[top]
	if c == nil {
		c = new(test)
		p.tests[top] = c
	}
	switch e.Action {
	case "run":
		c.running = append(c.running, e.Test)
	case "output":
		c.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		c.running = slices.DeleteFunc(c.running, func(name string) bool { return name == e.Test })
		p.count(e.Action)
		t.addEnd(p, c, e, e.Test == top)
	}
}

func (p *pkg) count(action string) {
	switch action {
	case "pass":
		p.passed++
	case "fail":
		p.failed++
	case "skip":
		p.skipped++
	}
}

// addEnd takes note of the end of a test or subtest of c.
func (t *tally) addEnd(p *pkg, c *test, e event, top bool) {
	switch {
	case e.Action == "skip":
		fmt.Fprintf(t.w, "  skip %s: %s\n", e.Test, skipReason(c.output.String()))
	case !top:
		return // its output is shown with the whole test's
	case e.Action == "fail":
		fmt.Fprintf(t.w, "  FAIL %s (%.1fs)\n%s", e.Test, e.Elapsed, c.output.String())
		t.failure(e.Package, e.Test, c.output.String())
	case e.Elapsed >= slow:
		fmt.Fprintf(t.w, "  pass %s (%.1fs)\n", e.Test, e.Elapsed)
	}
	if top {
		delete(p.tests, e.Test)
	}
}

// skipReason returns the last message of a test that was skipped.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		if _, message, ok := strings.Cut(line, ".go:"); ok {
			_, message, _ = strings.Cut(message, ": ")
			reason = strings.TrimSpace(message)
		}
	}
	return reason
}

// addPackage takes note of an event of a package as a whole.
func (t *tally) addPackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	delete(t.packages, e.Package)
	if e.Action == "fail" {
		t.abandon(p, e.Package)
		if p.failed == 0 { // it did not build, or something outside of the tests went wrong
			p.failed++
			t.failure(e.Package, "", p.output.String())
		}
		fmt.Fprint(t.w, p.output.String())
	}
	t.passed += p.passed
	t.failed += p.failed
	t.skipped += p.skipped
	if p.passed+p.failed+p.skipped > 0 {
		verdict := map[string]string{"pass": "ok  ", "fail": "FAIL", "skip": "skip"}[e.Action]
		fmt.Fprintf(t.w, "%s %s (%.1fs): %d passed, %d failed", verdict, e.Package, e.Elapsed, p.passed, p.failed)
		if p.skipped > 0 {
			fmt.Fprintf(t.w, ", %d skipped", p.skipped)
		}
		fmt.Fprintln(t.w)
	}
}

// abandon counts tests that a crash or a timeout has kept from ending as
// failed, and shows their output.
func (t *tally) abandon(p *pkg, name string) {
	names := make([]string, 0, len(p.tests))
	for name := range p.tests {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, test := range names {
		c := p.tests[test]
		p.failed += len(c.running)
		fmt.Fprintf(t.w, "  FAIL %s (did not end)\n%s", test, c.output.String())
		t.failure(name, test+" (did not end)", c.output.String())
	}
}

// How much of a test's output is repeated at the end.
const (
	mostLines = 40
	mostBytes = 400 // of a line
)

// failure notes why a test failed: what tests said of it by themselves, and how a crash
// begins. What helpers print about the state of things is left out.
func (t *tally) failure(pkg, test, output string) {
	t.why = append(t.why, strings.TrimSpace("FAIL "+pkg+" "+test))
	said, lines := false, 0
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(line)
		switch file, _, found := strings.Cut(text, ".go:"); {
		case strings.HasPrefix(text, "panic:"), strings.HasPrefix(text, "fatal error:"), strings.HasPrefix(text, "WARNING: DATA RACE"):
			said = true
		case found && !strings.ContainsAny(file, " /"): // a message: its lines follow, indented further
			said = strings.HasSuffix(file, "_test")
		case !strings.HasPrefix(line, "        "):
			said = false
		}
		if !said || text == "" {
			continue
		}
		if lines++; lines > mostLines {
			t.why = append(t.why, "    …")
			return
		}
		if len(text) > mostBytes {
			text = strings.ToValidUTF8(text[:mostBytes], "") + "…"
		}
		t.why = append(t.why, "    "+text)
	}
}

// finish is called when no more events come. A package that has not ended by
// then has failed.
func (t *tally) finish() {
	names := make([]string, 0, len(t.packages))
	for name := range t.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.addPackage(t.packages[name], event{Action: "fail", Package: name})
	}
}
