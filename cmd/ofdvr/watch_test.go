package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
)

// lines is a writer that passes each line to a test.
type lines struct {
	more chan string // large enough for all lines of a test
	rest []byte
}

func newLines() *lines { return &lines{more: make(chan string, 1000)} }

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.more <- string(line)
		l.rest = rest
	}
}

// next waits for the next lines and compares them.
func (l *lines) next(t *testing.T, want ...string) {
	t.Helper()
	for _, want := range want {
		select {
		case got := <-l.more:
			if got != want {
				t.Fatalf("the command prints %q, want %q", got, want)
			}
		case <-t.Context().Done():
			t.Fatalf("the command does not print %q", want)
		}
	}
}

// A watcher that has missed changes prints all objects at one revision, and continues with
// later changes.
func TestWatchListsAgain(t *testing.T) {
	d := applied(t, map[string]string{"red.yaml": "networks: [{id: red}]\n"})
	revision := d.ledger.Intent().Revision
	ctx, cancel := context.WithCancel(t.Context())
	out, errOut := newLines(), newLines()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"watch", "networks", "--since", "999", "--api", d.endpoint}, out, errOut)
	}()
	errOut.next(t, fmt.Sprintf("the changes after revision 999 are no longer stored; these are all objects at revision %d:", revision))
	out.next(t, fmt.Sprintf(`%d network/blue present {"id":"blue","vlan":1}`, revision), fmt.Sprintf(`%d network/green present {"id":"green","vlan":2}`, revision))
	d.ofdvr(0, "apply", "-f", "red.yaml")
	out.next(t, fmt.Sprintf(`%d network/red created {"id":"red"}`, revision+1))
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("when it is interrupted it exits with %d", status)
	}
}

// get -w prints the list and then the changes of its objects.
func TestGetWatch(t *testing.T) {
	d := applied(t, map[string]string{"red.yaml": "networks: [{id: red}, {id: green, vlan: 9}]\nports: [{id: vm9, network: red, mac: \"02:00:00:00:09:09\"}]\n"})
	revision := d.ledger.Intent().Revision
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errOut := newLines(), newLines()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"get", "networks", "green", "-w", "--api", d.endpoint}, out, errOut)
	}()
	out.next(t, "NETWORK  VLAN   MTU", "green       2  1500")
	d.ofdvr(0, "apply", "red.yaml")
	d.ofdvr(0, "delete", "network", "green", "--cascade")
	out.next(t, fmt.Sprintf(`%d network/green updated {"id":"green","vlan":9}`, revision+1), fmt.Sprintf("%d network/green deleted", revision+2))
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("when it is interrupted it exits with %d", status)
	}
}

// get -w with filters prints the changes of objects that pass the filters, or have passed them
// before.
func TestGetWatchFiltered(t *testing.T) {
	port := func(name, tier string) string {
		return fmt.Sprintf("ports: [{id: %s, network: blue, mac: \"02:00:00:00:09:0%c\", labels: {tier: %s}}]\n", name, name[1], tier)
	}
	d := applied(t, map[string]string{"web.yaml": port("p1", "web"), "db.yaml": port("p2", "db"), "moved.yaml": port("p1", "db"), "again.yaml": port("p1", "cache"), "last.yaml": port("p3", "web")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errOut := newLines(), newLines()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"get", "ports", "--network", "blue", "-l", "tier=web", "-w", "--api", d.endpoint}, out, errOut)
	}()
	errOut.next(t, "no ports that match")
	revision := d.ledger.Intent().Revision
	d.ofdvr(0, "apply", "web.yaml")
	out.next(t, fmt.Sprintf(`%d port/p1 created {"id":"p1","labels":{"tier":"web"},"network":"blue","mac":"02:00:00:00:09:01"}`, revision+1))
	d.ofdvr(0, "apply", "db.yaml")
	d.ofdvr(0, "apply", "moved.yaml")
	out.next(t, fmt.Sprintf(`%d port/p1 updated {"id":"p1","labels":{"tier":"db"},"network":"blue","mac":"02:00:00:00:09:01"}`, revision+3))
	d.ofdvr(0, "apply", "again.yaml")
	d.ofdvr(0, "delete", "port", "p1")
	d.ofdvr(0, "apply", "last.yaml")
	out.next(t, fmt.Sprintf(`%d port/p3 created {"id":"p3","labels":{"tier":"web"},"network":"blue","mac":"02:00:00:00:09:03"}`, revision+6))
	d.ofdvr(0, "delete", "port", "p3")
	out.next(t, fmt.Sprintf("%d port/p3 deleted", revision+7))
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("when it is interrupted it exits with %d", status)
	}
}

// full is a writer without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("no space left on device") }

// If printing fails, watch ends with that error.
func TestWatchCannotPrint(t *testing.T) {
	d := applied(t, nil)
	var errOut strings.Builder
	status := run(t.Context(), []string{"watch", "--since", "0", "--api", d.endpoint}, full{}, &errOut)
	if status != 1 || errOut.String() != "ofdvr: print a change: no space left on device\n" {
		t.Errorf("%d, %s", status, &errOut)
	}
}

// An interrupted command reports that the change may have been made. It does not report that
// the daemon does not run.
func TestInterrupted(t *testing.T) {
	inDir(t, map[string]string{"good.yaml": goodTopology})
	d := startDaemon(t, nil, 0)
	d.waits = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	more, err := d.events(0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-more // the change is written, and the command waits for the switches
		cancel()
	}()
	var out, errOut strings.Builder
	status := run(ctx, []string{"apply", "-f", "good.yaml", "--api", d.endpoint}, &out, &errOut)
	if status != 1 || errOut.String() != "ofdvr: interrupted before ofdvr answered: the change may have been made; see 'ofdvr plan' or 'ofdvr get'\n" {
		t.Errorf("%d, %q", status, &errOut)
	}
	errOut.Reset()
	if status := run(ctx, []string{"get", "ports", "--api", d.endpoint}, &out, &errOut); status != 1 || errOut.String() != "ofdvr: interrupted\n" {
		t.Errorf("%d, %q", status, &errOut)
	}
}
