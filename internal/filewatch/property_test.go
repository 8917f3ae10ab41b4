package filewatch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A model is a file with the path at/f, and all contents that it has had. In the path, at is a
// directory or a link to a directory, and f is a file or a link to a file.
type model struct {
	t    testing.TB
	root string
	n    int             // directories and contents created so far
	had  map[string]bool // contents that were complete at some time
	last string          // its current content
}

func (m *model) path(name string) string { return filepath.Join(m.root, name) }

// fresh returns a path that does not exist.
func (m *model) fresh() string {
	m.n++
	return m.path(fmt.Sprint(m.n))
}

// content returns a new content.
func (m *model) content() string {
	m.n++
	return fmt.Sprintf("content %d in two parts", m.n)
}

// is records the new content of the file. The change happens before or right after the call, and
// the file is not read in between.
func (m *model) is(content string) {
	m.had[content] = true
	m.last = content
}

// directory creates a directory with a file f of the given content.
func (m *model) directory(content string) string {
	dir := m.fresh()
	must(m.t, os.Mkdir(dir, 0o755))
	write(m.t, filepath.Join(dir, "f"), content)
	return dir
}

// changes are the possible changes of the file.
var changes = map[string]func(m *model){
	"write in place": func(m *model) {
		content := m.content()
		m.is(content)
		f, err := os.OpenFile(m.path("at/f"), os.O_WRONLY|os.O_TRUNC, 0)
		must(m.t, err)
		for _, part := range []string{content[:12], content[12:]} {
			_, err = f.WriteString(part)
			must(m.t, err)
		}
		must(m.t, f.Close())
	},
	"append": func(m *model) {
		more := m.content()
		m.is(m.last + more)
		f, err := os.OpenFile(m.path("at/f"), os.O_WRONLY|os.O_APPEND, 0)
		must(m.t, err)
		for _, part := range []string{more[:12], more[12:]} {
			_, err = f.WriteString(part)
			must(m.t, err)
		}
		must(m.t, f.Close())
	},
	"rename over": func(m *model) {
		content := m.content()
		m.is(content)
		replace(m.t, m.path("at/f"), content)
	},
	"remove and create": func(m *model) {
		must(m.t, os.Remove(m.path("at/f")))
		content := m.content()
		m.is(content)
		write(m.t, m.path("at/f"), content)
	},
	"another directory": func(m *model) {
		content := m.content()
		dir := m.directory(content)
		must(m.t, os.Rename(m.path("at"), m.fresh()))
		m.is(content)
		must(m.t, os.Rename(dir, m.path("at")))
	},
	"link to another directory": func(m *model) {
		content := m.content()
		dir := m.directory(content)
		must(m.t, os.Rename(m.path("at"), m.fresh()))
		m.is(content)
		must(m.t, os.Symlink(dir, m.path("at")))
	},
	"link to another file": func(m *model) {
		content := m.content()
		dir := m.directory(content)
		m.is(content)
		relink(m.t, filepath.Join(dir, "f"), m.path("at/f"))
	},
	"swap, as Kubernetes does": func(m *model) {
		content := m.content()
		dir := m.directory(content)
		if info, err := os.Lstat(m.path("at")); err != nil || info.IsDir() { // moves a directory away, because a link cannot replace it
			must(m.t, os.Rename(m.path("at"), m.fresh()))
		}
		old, _ := filepath.EvalSymlinks(m.path("at"))
		m.is(content)
		relink(m.t, dir, m.path("at"))
		if old != "" {
			must(m.t, os.RemoveAll(old))
		}
	},
	"touch":        func(m *model) { must(m.t, os.Chtimes(m.path("at/f"), time.Time{}, time.Unix(1, 0))) },
	"change modes": func(m *model) { must(m.t, os.Chmod(m.path("at/f"), 0o600)) },
	"the same":     func(m *model) { replace(m.t, m.path("at/f"), m.last) },
	"beside it":    func(m *model) { write(m.t, m.path("at/g"), "beside") },
}

// After any sequence of changes, even very fast ones, the last content is reported at the end.
// Only complete contents are reported.
func TestAnySequence(t *testing.T) {
	names := slices.Sorted(maps.Keys(changes))
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: t, root: t.TempDir(), had: make(map[string]bool)}
		first := m.content()
		m.is(first)
		must(t, os.Rename(m.directory(first), m.path("at")))
		hasty := eager
		hasty.grace = soon
		h := watch(t, Watcher{Path: m.path("at/f"), pace: hasty}, nil)
		defer h.end()
		h.expect(first)
		reported := first
		take := func(got report) {
			switch {
			case got.err != nil:
				reported = ""
			case !m.had[got.data]:
				rt.Fatalf("reported %q, which the file never contained", got.data)
			case got.data == reported:
				rt.Fatalf("reported %q again", got.data)
			default:
				reported = got.data
			}
		}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 6).Draw(rt, "changes") {
			changes[name](m)
			if rapid.Bool().Draw(rt, "wait") {
				for reported != m.last {
					take(h.next())
				}
			}
		}
		for reported != m.last {
			take(h.next())
		}
		changes["rename over"](m)
		for reported != m.last {
			take(h.next())
		}
		h.nothing()
	})
}
