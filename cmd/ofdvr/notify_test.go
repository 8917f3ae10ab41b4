package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/internal/sdnotify"
)

// manager is a service manager that has started the program, with a watchdog of 40 ms. The
// function returns the reports that it receives.
func manager(t *testing.T) (sdnotify.Notifier, func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "40000")
	t.Setenv("WATCHDOG_PID", "")
	n, err := sdnotify.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return n, func() string {
		b := make([]byte, 1000)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		k, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:k])
	}
}

// If the controller hangs, it is not reported as alive. Before it has answered, it is not reported
// as ready. At the end only the stop is reported.
func TestReporter(t *testing.T) {
	n, received := manager(t)
	answers := make(chan controller.Status) // unbuffered, so the reporter waits for an answer
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := &reporter{Notifier: n, log: zap.NewNop(), status: func(ctx context.Context) (controller.Status, error) {
		select {
		case s := <-answers:
			return s, nil
		case <-ctx.Done():
			return controller.Status{}, ctx.Err()
		}
	}}
	go func() { done <- r.run(ctx) }()
	const hangs = "STATUS=the controller does not answer"
	expect := func(want string) {
		t.Helper()
		if got := received(); got != want {
			t.Fatalf("the service manager received %q, want %q", got, want)
		}
	}
	// answer answers a question. If the answer is too late, the reporter repeats the question.
	answer := func(s controller.Status) {
		t.Helper()
		select {
		case answers <- s:
		case <-time.After(20 * time.Second):
			t.Fatal("the reporter does not ask")
		}
	}
	expect(hangs)
	answer(controller.Status{Settled: true, Routers: make([]controller.RouterStatus, 5)})
	expect("READY=1\nWATCHDOG=1\nSTATUS=5 routers, all settled")
	expect(hangs)
	answer(controller.Status{Standby: true})
	expect("WATCHDOG=1\nSTATUS=standby: another daemon leads")
	expect(hangs)
	stop()
	expect("STOPPING=1\nSTATUS=stopping, the switch goes on forwarding")
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the reporter ended with %v", err)
	}
}

func TestStatusLine(t *testing.T) {
	settled, waits := controller.RouterStatus{ID: "r1", FlowsWanted: 52, FlowsInstalled: 52, Settled: true}, controller.RouterStatus{ID: "r2", FlowsWanted: 30}
	stuck := waits
	stuck.Problems = []string{"bridge rb-r2 is not connected"}
	for _, tt := range []struct {
		s    controller.Status
		want string
	}{
		{controller.Status{Settled: true}, "0 routers, all settled"},
		{controller.Status{Settled: true, Routers: []controller.RouterStatus{settled}}, "1 router, all settled"},
		{controller.Status{Routers: []controller.RouterStatus{settled, waits}}, "waiting: 1 of 2 routers ready, 52 of 82 flows confirmed"},
		{controller.Status{Routers: []controller.RouterStatus{stuck}},
			"waiting: 0 of 1 router ready, 0 of 30 flows confirmed; problem: router r2: bridge rb-r2 is not connected"},
		{controller.Status{Problems: []string{"no ovsdb"}, Routers: []controller.RouterStatus{stuck}},
			"waiting: 0 of 1 router ready, 0 of 30 flows confirmed; 2 problems, the first: no ovsdb"},
	} {
		if got := statusLine(tt.s); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
