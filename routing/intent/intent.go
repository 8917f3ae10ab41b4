// Package intent reads routing models from topology files, in YAML or JSON,
// and reports mistakes by line and column.
//
// A file has the keys networks, routers and ports; each is a list of mappings
// whose keys are those of [routing.Network], [routing.Router],
// [routing.Interface] and [routing.Port] in lower case with underscores. Keys
// that are not known are mistakes. Anchors, aliases, merge keys and tags are
// refused: no two objects of a topology are alike, and every value then has
// one place.
package intent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/routing"
)

// Limits of a file. They bound time and memory (about 200 bytes for each byte
// of a file made to cost as much as possible), far above what one host needs:
// 100,000 ports are about 9 MB.
const (
	maxSize   = 32 << 20 // bytes
	maxDepth  = 32       // of lists and mappings in each other
	maxMarks  = 4 << 20  // punctuation and line ends in YAML, see countMarks
	maxKeys   = 256      // of a block mapping in YAML
	maxEmpty  = 1000     // keys and list items without a value in YAML
	maxErrors = 10_000   // that are spelled out
	maxText   = 256      // bytes of one value
)

// A Place is where in a file something was found.
type Place struct {
	File   string
	Line   int    // from 1
	Column int    // from 1, in characters
	Path   string // such as "routers[0].interfaces[1].mac"; "" is the file as a whole
}

// String returns "file:line:column: path", or "file:line:column" without a
// path.
func (p Place) String() string {
	s := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	if p.Path != "" {
		s += ": " + p.Path
	}
	return s
}

// An Error is a mistake in a file.
type Error struct {
	Place
	Err error
}

func (e *Error) Error() string { return e.Place.String() + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// A Warning is something in a file that is allowed but probably not meant.
type Warning struct {
	Place
	Text string
}

func (w Warning) String() string { return w.Place.String() + ": " + w.Text }

// Parse reads a topology file. file is its name, used only in messages. What
// is valid JSON (RFC 8259) is read as JSON and all else as YAML 1.2, in one
// document; a file whose name ends in .json has to be JSON.
//
// If there are mistakes, the model is nil and the error is a join of
// [*Error]s in the order of the file: all of them at once, those that
// [routing.Model.Validate] finds included. A mistake of syntax hides those
// behind it, and what follows from a value that could not be read is not
// reported. Without mistakes the model is valid, and the warnings are those of
// [routing.Model.Warnings] and one if the file declares nothing at all.
func Parse(file string, data []byte) (*routing.Model, []Warning, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	w := walker{file: file, root: &node{kind: kindNull, line: 1, col: 1}}
	if e := checkText(data); e != nil {
		w.report(e.line, e.col, "", e.err)
		return nil, nil, w.err()
	}
	var root *node
	var errs []syntaxError
	switch {
	case json.Valid(data):
		root, errs = readJSON(data)
	case strings.HasSuffix(file, ".json") && len(bytes.TrimSpace(data)) > 0:
		errs = []syntaxError{jsonSyntaxError(data)}
	default:
		root, errs = readYAML(data)
	}
	if len(errs) > 0 {
		for _, e := range errs {
			w.report(e.line, e.col, "", e.err)
		}
		return nil, nil, w.err()
	}
	if root != nil {
		w.root = root
	}
	m := w.model()
	w.locate(m.Validate())
	if err := w.err(); err != nil {
		return nil, nil, err
	}
	return m, w.warnings(m), nil
}

// A syntaxError is a mistake found before there is a tree.
type syntaxError struct {
	line, col int
	err       error
}

// checkText looks for what no text file has.
func checkText(data []byte) *syntaxError {
	if len(data) > maxSize {
		return &syntaxError{1, 1, fmt.Errorf("the file has %d bytes, more than %d", len(data), maxSize)}
	}
	line, col := 1, 1
	for i := 0; i < len(data); {
		r, size := rune(data[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(data[i:])
		}
		switch {
		case r == utf8.RuneError && size == 1:
			return &syntaxError{line, col, fmt.Errorf("byte %#02x is not UTF-8", data[i])}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', 0x7f <= r && r < 0xa0 && r != 0x85:
			return &syntaxError{line, col, fmt.Errorf("control character U+%04X", r)}
		}
		i += size
		if col++; r == '\n' {
			line, col = line+1, 1
		}
	}
	return nil
}

// report records a mistake.
func (w *walker) report(line, col int, path string, err error) {
	if len(w.found) == maxErrors {
		w.more++
		return
	}
	w.found = append(w.found, &Error{Place{w.file, line, col, path}, err})
}

// err joins what was reported, in file order.
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
		errs = append(errs, &Error{last, fmt.Errorf("and %d more mistakes in this file", w.more)})
	}
	return errors.Join(errs...)
}

// locate reports the [*routing.PathError]s that err joins, each at the deepest
// node of its path that exists.
func (w *walker) locate(err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return // nil
	}
	for _, err := range joined.Unwrap() {
		var e *routing.PathError
		if !errors.As(err, &e) || w.follows(e) {
			continue
		}
		n := w.root.find(e.Path)
		w.report(n.line, n.col, e.Path, e.Err)
	}
}

func (w *walker) warnings(m *routing.Model) []Warning {
	var warnings []Warning
	if len(m.Networks)+len(m.Routers)+len(m.Ports) == 0 {
		warnings = append(warnings, Warning{Place{w.file, w.root.line, w.root.col, ""}, "the file declares nothing"})
	}
	for _, e := range m.Warnings() {
		n := w.root.find(e.Path)
		warnings = append(warnings, Warning{Place{w.file, n.line, n.col, e.Path}, e.Err.Error()})
	}
	slices.SortStableFunc(warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return warnings
}
