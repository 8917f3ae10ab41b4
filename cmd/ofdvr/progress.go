package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// progress shows one changing line on a terminal, and nothing elsewhere.
type progress struct {
	w    io.Writer // nil where there is no terminal
	last string
}

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{w: w}
	}
	return &progress{}
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
