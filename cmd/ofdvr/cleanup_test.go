package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// Only the answers y and yes are consent.
func TestConfirmed(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES\n": true, "\n": false, "n\n": false, "yess\n": false, "": false} {
		var asked bytes.Buffer
		if got := confirmed(strings.NewReader(answer), &asked, "Sure?"); got != want || asked.String() != "Sure? [y/N] " {
			t.Errorf("%q: %v after %q", answer, got, &asked)
		}
	}
}

// On a terminal, cleanup lists the objects that it would remove, and asks. Without consent
// nothing is removed. With --dry-run it does not ask.
func TestCleanupAsksOnATerminal(t *testing.T) {
	inDir(t, nil)
	cleanup := func(answer string, flags ...string) (out, errOut string, err error) {
		t.Helper()
		screen, tty := terminal(t)
		io.WriteString(screen, answer)
		root := newRoot()
		var o, e strings.Builder
		root.SetArgs(append([]string{"cleanup", "--ovsdb=", "--run-dir", "run"}, flags...))
		root.SetIn(tty)
		root.SetOut(&o)
		root.SetErr(&e)
		err = root.ExecuteContext(context.Background())
		return o.String(), e.String(), err
	}
	_, asked, err := cleanup("n\n")
	if err == nil || err.Error() != "nothing was removed" || asked != "Remove all this? [y/N] " {
		t.Errorf("after no: %v, %q", err, asked)
	}
	if _, asked, err := cleanup("", "--dry-run"); err != nil || asked != "" {
		t.Errorf("--dry-run: %v, %q", err, asked)
	}
}
