package main

import (
	"fmt"
	"io"
	"strings"
)

// A screen prints the demonstration. Its methods must not be called
// concurrently.
type screen struct {
	w      io.Writer
	tty    bool // w is a terminal, so progress is shown
	colour bool
	step   int    // the number of the last title
	busy   string // text of the progress line; "" if there is none
}

// Select Graphic Rendition parameters (ECMA-48 §8.3.117).
const (
	bold  = "1"
	green = "32"
	cyan  = "36"
)

func (s *screen) paint(sgr, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// title begins the next step.
func (s *screen) title(text string) {
	s.clear()
	s.step++
	fmt.Fprintf(s.w, "\n%s\n", s.paint(bold, fmt.Sprintf("%d. %s", s.step, text)))
}

// say prints an explanation.
func (s *screen) say(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// command prints a command as a user of a host would type it. "" means a single host.
func (s *screen) command(host, line string) {
	s.clear()
	fmt.Fprintf(s.w, "%s\n", s.paint(cyan, "  "+host+"$ "+line))
}

// output prints a command's output.
func (s *screen) output(text string) {
	s.clear()
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		fmt.Fprintln(s.w, strings.TrimRight("    "+line, "\n "))
	}
}

// proved prints a claim that was checked.
func (s *screen) proved(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.w, "  %s %s\n", s.paint(green, "✓"), fmt.Sprintf(format, args...))
}

// wait shows on a terminal that a step takes a moment. The next line replaces the text.
func (s *screen) wait(what string) {
	s.clear()
	if s.tty {
		s.busy = what
		fmt.Fprintf(s.w, "  … %s", what)
	}
}

func (s *screen) clear() {
	if s.busy != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.busy = ""
	}
}
