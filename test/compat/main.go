// Command compat tests ofdvr on each available Open vSwitch and datapath, and writes
// docs/compatibility.md from the results. It runs the tests that prove each feature. They run with
// the Open vSwitch of this machine and of other Debian releases (scripts/openvswitch.sh), on the
// userspace datapath and on the kernel's. The kernel's runs in a guest (test/guest). Run it with
// make compatibility, from the top of the repository.
//
//	compat [-only TEXT] [-page] [-tests]
//
// The results of an environment are stored in test/compat/results. With -only, only environments
// with TEXT in their names are run. With -page it runs no tests, and writes the page from the
// stored results. With -tests it only prints a regular expression that matches the names of all
// features' tests, and of those between hosts, for go test -run. The tests' output is in bin/compat.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Paths, from the top of the repository.
const (
	page    = "docs/compatibility.md"
	results = "test/compat/results"
	logs    = "bin/compat"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(1)
	}
}

// run runs the selected environments and writes the page. If an environment cannot run, the others
// still run. The error has all failures.
func run() error {
	only := flag.String("only", "", "run only environments whose name contains this `text`, such as forky or kernel")
	pageOnly := flag.Bool("page", false, "run nothing, only write the page from the stored results")
	testsOnly := flag.Bool("tests", false, "only print a regular expression that matches all features' tests and those between hosts, for go test -run")
	flag.Parse()
	if *testsOnly {
		fmt.Println(pattern(append(tests("system"), spanning...)))
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var errs []error
	found := *pageOnly
	for _, e := range environments {
		if *pageOnly || ctx.Err() != nil || !strings.Contains(e.name(), *only) {
			continue
		}
		found = true
		r, err := e.run(ctx, logs)
		if err == nil {
			err = r.save(results)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("test on %s: %w", e.name(), err))
		}
	}
	if !found {
		return fmt.Errorf("no environment's name contains %q; see test/compat/environment.go", *only)
	}
	all, err := load(results)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, os.WriteFile(page, []byte(render(all)), 0o644))...)
}
