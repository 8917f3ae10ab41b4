package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a pseudo terminal. A command writes to tty, and the test reads
// from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// An apply that takes a while shows its progress on a terminal, and removes it at the end.
func TestProgressOnATerminal(t *testing.T) {
	inDir(t, map[string]string{"good.yaml": goodTopology})
	d := startDaemon(t, nil, 0)
	d.waits = make(chan struct{})
	screen, tty := terminal(t)
	ended := make(chan int, 1)
	var out strings.Builder
	go func() {
		ended <- run(t.Context(), []string{"apply", "-f", "good.yaml", "--api", d.endpoint}, &out, tty)
		tty.Close() // ends the read below
	}()
	const line = "\r\x1b[Kwaiting: 1 of 1 router ready, 8000 of 8000 flows confirmed"
	seen := make([]byte, len(line))
	if _, err := io.ReadFull(screen, seen); err != nil || string(seen) != line {
		t.Errorf("the terminal shows %q, %v; want %q", seen, err, line)
	}
	close(d.waits)
	rest, _ := io.ReadAll(screen) // an error means that the other end is closed
	if status := <-ended; status != 0 || string(rest) != "\r\x1b[K" || !strings.HasSuffix(out.String(), "port/vm2 created\n") {
		t.Errorf("exit status %d, then the terminal shows %q; output %q", status, rest, &out)
	}
}

// No progress is shown in a pipe.
func TestNoProgressInAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	synctest.Test(t, func(t *testing.T) {
		p := newProgress(w)
		stop := p.busy(t.Context(), "planning")
		timer := time.NewTimer(time.Hour) // virtual
		<-timer.C
		synctest.Wait()
		p.show("planning")
		stop()
	})
	w.Close()
	if text, err := io.ReadAll(r); err != nil || len(text) != 0 {
		t.Errorf("%v, the pipe has %q", err, text)
	}
}

// A plan has colours on a terminal, unless NO_COLOR is set.
func TestColoursOnATerminal(t *testing.T) {
	d := applied(t, map[string]string{"red.yaml": "networks: [{id: red}]\n"})
	for noColor, want := range map[string]string{"": "change\r\n\x1b[32m+ network red\x1b[0m\r\n", "1": "change\r\n+ network red\r\n"} {
		t.Setenv("NO_COLOR", noColor)
		screen, tty := terminal(t)
		go func() {
			run(t.Context(), []string{"plan", "red.yaml", "--api", d.endpoint}, tty, io.Discard)
			tty.Close()
		}()
		if shown, _ := io.ReadAll(screen); !strings.Contains(string(shown), want) {
			t.Errorf("with NO_COLOR=%q the terminal shows %q, want %q", noColor, shown, want)
		}
	}
}

// A command shows nothing for a second, and then the number of seconds since its start.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := &progress{w: &screen}
		after := func(d time.Duration) {
			timer := time.NewTimer(d)
			<-timer.C
			synctest.Wait()
		}
		stop := p.busy(t.Context(), "planning")
		after(999 * time.Millisecond)
		stop()
		if screen.Len() > 0 {
			t.Errorf("after less than a second, the screen shows %q", &screen)
		}
		stop = p.busy(t.Context(), "planning")
		after(2100 * time.Millisecond)
		if want := "\r\x1b[Kplanning: 1 s\r\x1b[Kplanning: 2 s"; screen.String() != want {
			t.Errorf("the screen shows %q, want %q", &screen, want)
		}
		screen.Reset()
		p.show("planning: 2 s")
		if screen.Len() > 0 {
			t.Errorf("an unchanged line is shown again: %q", &screen)
		}
		stop()
		stop()
		if screen.String() != "\r\x1b[K" {
			t.Errorf("at the end, the screen shows %q", &screen)
		}
	})
}
