// Command testsum runs go test with the arguments it is given and shows what a
// person wants to see: a line for each package and for each test that takes
// its time, the whole output of what fails, and at the end what failed with the
// test's own messages, and, as the last line,
//
//	N passed, N failed
//
// where subtests count as tests. It exits with status 1 if anything failed or
// no test ran. With -o FILE first, it also writes that end to a file.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	file := ""
	if len(args) >= 2 && args[0] == "-o" {
		file, args = args[1], args[2:]
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t := newTally(os.Stdout)
	readErr := read(out, t)
	if readErr != nil {
		io.Copy(os.Stdout, out) // what is not JSON may explain it
	}
	waitErr := cmd.Wait()
	t.finish()
	switch {
	case readErr != nil:
		fmt.Println("testsum:", readErr)
	case waitErr != nil && t.failed == 0:
		fmt.Println("testsum: go test:", waitErr)
	case t.passed+t.failed == 0:
		fmt.Println("testsum: no test ran")
	}
	if t.skipped > 0 {
		fmt.Printf("%d skipped\n", t.skipped)
	}
	summary := strings.Join(append(t.why, fmt.Sprintf("%d passed, %d failed\n", t.passed, t.failed)), "\n")
	if file != "" {
		if err := os.WriteFile(file, []byte(summary), 0o644); err != nil {
			return err
		}
	}
	fmt.Print(summary)
	if readErr != nil || waitErr != nil || t.failed > 0 || t.passed == 0 {
		os.Exit(1)
	}
	return nil
}

// read passes the events that r holds, one JSON object after another, to t.
func read(r io.Reader, t *tally) error {
	for d := json.NewDecoder(r); ; {
		var e event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the output of go test -json: %w", err)
		}
		t.add(e)
	}
}
