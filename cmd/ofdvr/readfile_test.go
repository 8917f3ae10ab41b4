package main

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A command that waits for a FIFO without a writer ends when it is interrupted. An endless
// file is refused.
func TestFilesThatDoNotEnd(t *testing.T) {
	inDir(t, nil)
	if err := unix.Mkfifo("fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"check fifo", "compile fifo", "apply -f fifo", "plan fifo", "delete -f fifo", "store import fifo", "serve --config fifo"} {
		ctx, cancel := context.WithCancel(t.Context())
		var out, errOut strings.Builder
		done := make(chan int, 1)
		go func() { done <- run(ctx, strings.Fields(args), &out, &errOut) }()
		for { // repeats until the command has opened the FIFO and waits
			fd, err := unix.Open("fifo", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err == nil {
				cancel()
				if status := <-done; status != exitFailure || errOut.String() != "ofdvr: interrupted\n" {
					t.Errorf("%s: %d, %s", args, status, &errOut)
				}
				unix.Close(fd)
				break
			}
			select {
			case status := <-done:
				t.Fatalf("%s did not read the file completely: exit status %d, %s", args, status, &errOut)
			default:
			}
		}
		cancel()
	}
	var out, errOut strings.Builder
	if status := run(t.Context(), []string{"check", "/dev/zero"}, &out, &errOut); status != exitFailure || !strings.Contains(errOut.String(), "more than 67108864 bytes") {
		t.Errorf("/dev/zero: %d, %s", status, &errOut)
	}
}
