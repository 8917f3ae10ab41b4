package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows one changing line on a terminal. If the output is not a terminal, it shows
// nothing.
type progress struct {
	w    io.Writer // nil if it is not a terminal
	last string
}

func newProgress(w io.Writer) *progress {
	if isTerminal(w) {
		return &progress{w: w}
	}
	return &progress{}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// show replaces the line.
func (p *progress) show(line string) {
	if p.w != nil && line != p.last {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.last = line
	}
}

// clear removes the line.
func (p *progress) clear() {
	if p.w != nil && p.last != "" {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.last = ""
	}
}

// during shows a new line at each interval, until stop is called. If line returns "", the old line
// stays. stop may be called several times.
func (p *progress) during(ctx context.Context, interval time.Duration, line func(context.Context) string) (stop func()) {
	if p.w == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if text := line(ctx); text != "" {
					p.show(text)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
		p.clear()
	}
}

// busy shows the text what and the number of seconds, until stop is called. It shows nothing in the
// first second. stop may be called several times.
func (p *progress) busy(ctx context.Context, what string) (stop func()) {
	seconds := 0
	return p.during(ctx, time.Second, func(context.Context) string {
		seconds++
		return fmt.Sprintf("%s: %d s", what, seconds)
	})
}
