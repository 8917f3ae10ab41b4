package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// document returns a page of the documentation.
func document(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// docs/states.md explains each state of a router.
func TestManualHasAllStates(t *testing.T) {
	states := document(t, "docs/states.md")
	for _, state := range controller.RouterStates() {
		if !strings.Contains(states, "\n| `"+state+"` |") {
			t.Errorf("docs/states.md does not explain the state %s", state)
		}
	}
}

// Topologies in the documentation have no mistakes.
func TestTopologiesInManual(t *testing.T) {
	for _, name := range []string{"README.md", "docs/configuration.md"} {
		all := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(document(t, name), -1)
		if len(all) == 0 {
			t.Errorf("%s has no topology", name)
		}
		for _, m := range all {
			if _, _, err := topology.Parse(name, []byte(m[1])); err != nil {
				t.Error(err)
			}
		}
	}
}

// pages calls f with the name and the text of each page of the documentation.
func pages(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		data, err := os.ReadFile(path)
		f(path, string(data))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Commands in the documentation exist and have the flags that are used there.
func TestCommandsInManual(t *testing.T) {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	code := regexp.MustCompile("(?s)\\n```.*?\\n```|`[^`\\n]+`")
	invocation := regexp.MustCompile("(?m)(?:^|[`$;|] ?|&& )ofdvr ([a-z][^`\\n|;&>#…]*)")
	comment := regexp.MustCompile("(?m)#.*$")
	flagName := regexp.MustCompile(`\s--([a-z][a-z-]*)`)
	seen := 0
	pages(t, func(path, text string) {
		commands := comment.ReplaceAllString(strings.Join(code.FindAllString(text, -1), "\n"), "")
		for _, m := range invocation.FindAllStringSubmatch(commands, -1) {
			if strings.HasPrefix(m[1], "at ") { // a message of the log, not a command
				continue
			}
			seen++
			cmd, rest, err := root.Find(strings.Fields(m[1]))
			if err != nil || cmd == root {
				t.Errorf("%s: there is no command ofdvr %s", path, m[1])
				continue
			}
			for _, f := range flagName.FindAllStringSubmatch(" "+strings.Join(rest, " "), -1) {
				if cmd.Flags().Lookup(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil {
					t.Errorf("%s: ofdvr %s: there is no flag --%s", path, m[1], f[1])
				}
			}
		}
	})
	if seen < 100 {
		t.Errorf("only %d commands are seen", seen)
	}
}

// The tests that the documentation names exist.
func TestTestsInManual(t *testing.T) {
	exist := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)`).FindAllStringSubmatch(string(data), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	pages(t, func(path, text string) {
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(text, -1) {
			seen++
			if !exist[name] {
				t.Errorf("%s: there is no test %s", path, name)
			}
		}
	})
	if seen < 100 {
		t.Errorf("only %d tests are seen", seen)
	}
}

// Relative links in the documentation lead to files, and their fragments to headings.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	seen := 0
	pages(t, func(path, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, ":") {
				continue // a link to another site
			}
			seen++
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			text, err := os.ReadFile(to)
			if err != nil && !isDir(to) {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
			} else if fragment != "" && !headings(string(text))[fragment] {
				t.Errorf("%s: link to %s: there is no such heading", path, m[1])
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d links are seen", seen)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// headings returns the anchors of a page's headings, in GitHub's form.
func headings(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return all
}
