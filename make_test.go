package ofdvr_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every target of the Makefile first checks Go's version. If it is too old, it prints how to get a
// newer one.
func TestMakeNeedsGo(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"Debian 12", "echo go version go1.19.8 linux/amd64", "is Go 1.19.8"},
		{"no download", "echo 'go: download go1.26.0: toolchain not available' >&2; exit 1", "toolchain not available"},
		{"missing", "", "there is no go command in PATH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, tool := range []string{"sh", "bash", "awk", "uname", "cat", "dirname", "env", "git", "date", "expr", "nproc"} {
				path, err := exec.LookPath(tool)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, target := range []string{"help", "build", "demo"} {
				cmd := exec.Command("make", target)
				cmd.Env = append(os.Environ(), "PATH="+dir, "MAKEFLAGS=", "MAKELEVEL=") // the test may itself run under make
				out, err := cmd.CombinedOutput()
				text := string(out)
				if err == nil || !strings.HasPrefix(text, "ofdvr needs Go 1.26 or later") || !strings.Contains(text, tt.want) || !strings.Contains(text, "https://go.dev/dl/") {
					t.Errorf("make %s: %v\n%s", target, err, text)
				}
			}
		})
	}
	if out, err := exec.Command("make", "help").Output(); err != nil || !strings.Contains(string(out), "make build") {
		t.Errorf("make help: %v\n%s", err, out)
	}
}
