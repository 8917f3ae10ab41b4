package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	topology = "examples/two-networks/topology.yaml"

	// patience is the time that the demo waits for any condition.
	patience = 20 * time.Second
)

// A demo is a running demonstration.
type demo struct {
	*screen
	name   string // name of the host; "" for a single host
	host   *lab.Host
	root   string // top directory of the repository, where commands run
	daemon *lab.Process
	path   string // PATH of commands, with ofdvr
}

// newDemo makes the host. The caller must close it.
func newDemo(ctx context.Context, s *screen, dir string) (*demo, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("traceroute"); err != nil {
		return nil, fmt.Errorf("%w; scripts/setup.sh installs it", err)
	}
	s.wait("building ofdvr")
	binary, err := lab.Binary()
	s.clear()
	if err != nil {
		return nil, err
	}
	host, err := lab.NewHost(ctx, dir)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Symlink(binary, filepath.Join(bin, "ofdvr"))); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return &demo{screen: s, host: host, root: root, path: bin + ":" + os.Getenv("PATH")}, nil
}

// findRoot returns the top directory of the repository that contains the working
// directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, topology)); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("%s is not here; run the demo from the top of the repository", topology)
		}
		dir = filepath.Dir(dir)
	}
}

// command prints a command as a user would type it.
func (d *demo) command(line string) { d.screen.command(d.name, line) }

// quiet runs a command line and returns its output.
func (d *demo) quiet(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("timeout after %v", patience))
	defer cancel()
	cmd := d.host.Command(ctx, "env", "--chdir="+d.root, "PATH="+d.path, "LC_ALL=C", "sh", "-c", line)
	out, err := cmd.CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return string(out), fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}

// try prints a command line, runs it and prints its output. If trim is not nil, it shortens the
// output.
func (d *demo) try(ctx context.Context, line string, trim func(string) string) (string, error) {
	d.command(line)
	d.wait("running")
	out, err := d.quiet(ctx, line)
	shown := out
	if trim != nil {
		shown = trim(out)
	}
	d.output(shown)
	return out, err
}

// grep returns a function that keeps the lines that contain one of the words.
func grep(words ...string) func(string) string {
	return func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			for _, w := range words {
				if strings.Contains(line, w) {
					b.WriteString(line)
					break
				}
			}
		}
		return b.String()
	}
}
