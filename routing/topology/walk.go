package topology

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/ofdvr/ofdvr/routing"
)

// A walker converts a tree to values and collects errors. A value with an error keeps its
// default, so that indices in the model equal indices in the file.
type walker struct {
	file  string
	noun  string // "file", "body" or "object", for messages
	ruler ruler  // for the file's text
	yaml  bool   // positions are lines and columns, not offsets
	omit  string // a required key of the root that may be missing here
	root  tree
	found []*Error
	more  int // errors beyond maxErrors

	trail    trail           // to the current value
	steps    [8]step         // initial memory of trail
	broken   map[string]bool // paths of values with errors
	tainted  map[string]bool // paths of lists that contain items with errors
	networks bool            // the ID of a network has an error
	hosts    bool            // the ID of a host has an error

	last   string            // the last result of shared
	common map[string]string // all results of shared
	items  map[*node][]tree  // see itemsOf
}

// newWalker returns a walker of data, which must not change while it is used. If data is not
// text, the walker has an error.
func newWalker(file, noun string, data []byte) *walker {
	w := &walker{file: file, noun: noun}
	w.trail = w.steps[:0]
	if len(data) > maxSize {
		w.report(0, "the %s has %d bytes, more than %d", noun, len(data), maxSize)
		return w
	}
	w.ruler.text = unsafe.String(unsafe.SliceData(data), len(data)) // avoids a copy, which would double the memory
	if at, err := checkText(data); err != nil {
		w.record(at, "", err)
	}
	return w
}

func (w *walker) enter(s step) { w.trail = append(w.trail, s) }
func (w *walker) leave()       { w.trail = w.trail[:len(w.trail)-1] }

// given reports whether key may be missing although it is required.
func (w *walker) given(key string) bool { return len(w.trail) == 0 && key == w.omit }

// shared returns a copy of s. Equal strings share one copy.
func (w *walker) shared(s string) string {
	if s == w.last {
		return w.last
	}
	known, ok := w.common[s]
	if !ok {
		known = strings.Clone(s)
		if w.last != "" { // more than one string
			if w.common == nil {
				w.common = make(map[string]string)
			}
			w.common[w.last], w.common[known] = w.last, known
		}
	}
	w.last = known
	return known
}

// full reports whether maxErrors is reached, so that further errors are only counted.
func (w *walker) full() bool { return len(w.found) == maxErrors }

// report records an error of the current value.
func (w *walker) report(at position, format string, args ...any) {
	if w.full() {
		w.more++
		return
	}
	w.record(at, w.trail.String(), fmt.Errorf(format, args...))
}

// reportKey records an error of a key of the current value, which is a mapping, and returns it.
func (w *walker) reportKey(key *node, format string, args ...any) *KeyError {
	e := &KeyError{Key: key.text, err: fmt.Errorf(format, args...)}
	if w.full() {
		w.more++
	} else {
		w.record(key.at, w.trail.String(), e)
	}
	return e
}

// unset records whether the value of the key is null.
func (e *KeyError) unset(value tree) { e.null = value[0].kind == kindNull }

func (w *walker) record(at position, path string, err error) {
	if w.full() {
		w.more++
		return
	}
	line, col := w.place(at)
	w.found = append(w.found, &Error{Place{w.file, line, col, path}, err})
}

// bad reports that n, the current value, has an error, and marks it as broken.
func (w *walker) bad(n *node, format string, args ...any) {
	w.report(n.at, format, args...)
	w.breaks()
}

// breaks marks the current value as broken.
func (w *walker) breaks() {
	if w.more > 0 {
		return // follows will not be called
	}
	if w.broken == nil {
		w.broken, w.tainted = make(map[string]bool), make(map[string]bool)
	}
	w.broken[w.trail.String()] = true
	if n := len(w.trail); n > 0 && w.trail[n-1].key == "" {
		w.tainted[w.trail[:n-1].String()] = true
	}
	w.networks = w.networks || w.trail.names("networks")
	w.hosts = w.hosts || w.trail.names("hosts")
}

// names reports whether the ID of an object in the given list, such as "networks", is at t or in
// the value at t.
func (t trail) names(list string) bool {
	if len(t) > 0 && t[0].key == "put" {
		t = t[1:]
	}
	switch {
	case len(t) == 0:
		return true
	case t[0].key != list:
		return false
	}
	return len(t) < 3 || len(t) == 3 && t[2].key == "id"
}

// follows reports whether the error at path is only a consequence of a broken value.
func (w *walker) follows(path string, err error) bool {
	if w.networks && errors.Is(err, routing.ErrUnknownNetwork) || w.hosts && errors.Is(err, routing.ErrUnknownHost) || w.tainted[path] || w.broken[""] {
		return true
	}
	if len(w.broken) == 0 {
		return false
	}
	for i := 1; i < len(path); i++ {
		if c := path[i]; (c == '.' || c == '[') && w.broken[path[:i]] {
			return true
		}
	}
	return w.broken[path]
}

// locate records the [*routing.PathError]s that validate returns, each at the deepest existing
// node of its path. It calls path to translate their paths to paths in the file.
func (w *walker) locate(validate func() error, path func(string) string) {
	if w.more == 0 { // after the error limit, further errors would only be counted
		w.locateAll(validate(), path)
	}
}

func (w *walker) locateAll(err error, path func(string) string) {
	switch e := err.(type) {
	case nil:
		return
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			w.locateAll(err, path)
		}
		return
	}
	e, ok := errors.AsType[*routing.PathError](err)
	if !ok {
		return
	}
	if p := w.asWritten(path(e.Path)); !w.follows(p, e.Err) {
		w.record(w.find(p).at, p, e.Err)
	}
}

// err returns the join of all errors, in file order.
func (w *walker) err() error {
	slices.SortStableFunc(w.found, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var errs []error
	for _, e := range w.found {
		errs = append(errs, e)
	}
	if w.more > 0 {
		last := w.found[len(w.found)-1].Place
		last.Path = ""
		errs = append(errs, &Error{last, fmt.Errorf("and %d more mistakes in this %s", w.more, w.noun)})
	}
	return errors.Join(errs...)
}
