package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// guestProgram boots a guest with another kernel (test/guest). make bench, which runs in the
// directory bench, builds it there.
const guestProgram = "../bin/guest"

// inGuest has the measurements on the kernel's datapath, by this program in a guest.
type inGuest struct {
	Emulated bool   // the guest's processors are emulated
	Machine  string // the result of machine
	Paths    []path
}

// measureInGuest runs this program in a guest and returns its measurements. If a guest is
// impossible, it logs the reason and returns nothing.
func measureInGuest(ctx context.Context, rounds int) (inGuest, error) {
	var out inGuest
	check := exec.CommandContext(ctx, guestProgram, "-check")
	check.Stderr = os.Stderr
	if err := check.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "  not on the kernel's datapath: %v\n", err)
		return out, nil
	}
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	cmd := exec.CommandContext(ctx, guestProgram, self, "-in-guest", "-rounds", strconv.Itoa(rounds))
	outside := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, lab.StageEnv+"=") || strings.HasPrefix(v, "TMPDIR=")
	})
	cmd.Env = append(outside, "OFDVR_LAB_DATAPATH="+lab.Kernel)
	cmd.Stderr = os.Stderr
	printed, err := cmd.StdoutPipe()
	if err != nil {
		return out, err
	}
	if err := cmd.Start(); err != nil {
		return out, err
	}
	var last string
	for lines := bufio.NewScanner(printed); lines.Scan(); {
		if last = lines.Text(); !strings.HasPrefix(last, "{") {
			fmt.Fprintln(os.Stderr, last)
		}
	}
	if err := cmd.Wait(); err != nil {
		return out, fmt.Errorf("%s %s: %w", guestProgram, self, err)
	}
	if err := json.Unmarshal([]byte(last), &out); err != nil {
		return out, fmt.Errorf("read the guest's measurements: %w", err)
	}
	return out, nil
}

// runInGuest runs in the guest for measureInGuest. Its last line of output is an inGuest.
func runInGuest(ctx context.Context, rounds int) error {
	how := os.Getenv("OFDVR_GUEST")
	if how == "" {
		return errors.New("-in-guest works only in " + guestProgram + "")
	}
	paths, err := measurePaths(ctx, rounds)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(inGuest{how == "emulated", machine(), paths})
}
