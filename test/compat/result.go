package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A result has the outcomes of the tests in an environment.
type result struct {
	Name     string // of the environment
	Version  string // of Open vSwitch
	Release  string // release of the distribution with this Open vSwitch
	Datapath string // netdev or system
	Kernel   string `json:",omitempty"` // kernel of the guest, if the tests ran in one
	Date     string // date of the run, in UTC, as 2006-01-02
	Tests    map[string]outcome
}

// An outcome is the result of one test.
type outcome struct {
	Result  string   // pass, fail or skip
	Why     string   `json:",omitempty"` // reason why it was skipped or failed: the first line that the test logged
	Differs []string `json:",omitempty"` // differences and their reasons, see lab.Differs
}

// An event is a line of the output of go test -json (go doc test2json).
type event struct {
	Action, Test, Output string
}

var (
	booting = regexp.MustCompile(`guest: booting Linux (\S+),`)
	said    = regexp.MustCompile(`^\s+\w+\.go:\d+: (differs here: )?(.*)`)
)

// read reads the output of go test -json. It writes the tests' output to log, and the result of each finished
// test to progress.
func (r *result) read(in io.Reader, log io.Writer, progress io.Writer) error {
	for d := json.NewDecoder(in); ; {
		var e event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the output of go test -json: %w", err)
		}
		if _, err := io.WriteString(log, e.Output); err != nil {
			return err
		}
		if m := booting.FindStringSubmatch(e.Output); m != nil {
			r.Kernel = m[1]
		}
		test, _, sub := strings.Cut(e.Test, "/")
		if test == "" {
			continue
		}
		o := r.Tests[test]
		o.take(e.Output)
		if !sub && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
			o.end(e.Action)
			where := ""
			if f, ok := log.(*os.File); ok && e.Action == "fail" {
				where = ", see " + f.Name()
			}
			fmt.Fprintf(progress, "  %s %s%s\n", e.Action, test, where)
		}
		r.Tests[test] = o
	}
}

// take reads a line of the test's output.
func (o *outcome) take(line string) {
	switch m := said.FindStringSubmatch(line); {
	case m == nil:
	case m[1] == "":
		if o.Why == "" {
			o.Why = m[2]
		}
	case !slices.Contains(o.Differs, m[2]):
		o.Differs = append(o.Differs, m[2])
	}
}

// end records the test's result.
func (o *outcome) end(result string) {
	o.Result = result
	if result == "pass" {
		o.Why = ""
	}
	slices.Sort(o.Differs) // the order of parallel subtests varies
}

// save writes r to its file in dir.
func (r result) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Name+".json"), append(data, '\n'), 0o644)
}

// load returns the results in dir, in the order of environments. Environments without a file are left out.
func load(dir string) ([]result, error) {
	var out []result
	for _, e := range environments {
		data, err := os.ReadFile(filepath.Join(dir, e.name()+".json"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var r result
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("read the results of %s: %w", e.name(), err)
		}
		out = append(out, r)
	}
	return out, nil
}
