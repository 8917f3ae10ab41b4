// Package topology is the codec of the language of topologies. It reads topology
// files, in YAML or JSON, bodies of requests, and stored objects, reports mistakes
// by line and column, and writes all of them.
//
// A topology has the keys networks, routers and ports; each is a list of mappings
// whose keys are those of [routing.Network], [routing.Router],
// [routing.Interface] and [routing.Port] in lower case with underscores. Keys
// that are not known are mistakes. Anchors, aliases, merge keys and tags are
// refused: no two objects of a topology are alike, and every value then has
// one place.
//
// # Files
//
// [Parse] reads a file, and checks what it means. [WriteYAML] and [WriteJSON]
// write one.
//
// # Bodies of requests
//
// The Decode functions read a body, in JSON (RFC 8259). Mistakes of form are all
// reported at once, as a join of [*Error]s in the order of the body, whose paths
// are those of the body; what the objects mean is not checked. But if there are
// mistakes, and not too many to spell out, the argument also is called, unless
// it is nil, with what could be read, and the [*routing.PathError]s that it
// returns or joins are reported too, except what follows from a value that
// could not be read. Their paths are those in the change's Put; [Shape.Path]
// says what becomes of them in the body.
//
// # Objects
//
// [AppendNetwork], [AppendRouter] and [AppendPort] write an object to be
// stored, and [ParseNetwork], [ParseRouter] and [ParsePort] read it. The
// documents ([Topology], [Network], …) are the same in structs for encoding/json,
// and describe it by their tags, which say what docs/configuration.md says of each key. A
// key that has its default is left out.
//
// What is read shares no memory with what it was read from.
package topology

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/routing"
)

// Limits of a file or body. They bound time and memory (about 200 bytes for each
// byte of YAML made to cost as much as possible, and about 30 of JSON and of YAML as
// programs write it), far above what one host needs: 100,000 ports are about 9 MB.
const (
	maxSize   = 32 << 20 // bytes
	maxDepth  = 32       // of lists and mappings in each other
	maxNodes  = 8 << 20  // keys and values in JSON
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
	return ParseFor(file, data, (*routing.Model).Validate)
}

// ParseFor is [Parse] of a file that is not all there is: what makes its model
// unusable is what check returns, as [routing.Model.Validate] does.
func ParseFor(file string, data []byte, check func(*routing.Model) error) (*routing.Model, []Warning, error) {
	w := newWalker(file, "file", bytes.TrimPrefix(data, []byte("\ufeff")))
	m := new(routing.Model)
	if w.read() {
		if w.root[0].kind != kindNull {
			topologyKeys.read(w, w.root, m)
		}
		w.locate(func() error { return check(m) }, itself)
	}
	if err := w.err(); err != nil {
		return nil, nil, err
	}
	return m, w.warnings(m, itself), nil
}

func itself(path string) string { return path }

// read makes a tree of the text, in whatever syntax, or records why it cannot.
func (w *walker) read() bool {
	if len(w.found) > 0 {
		return false
	}
	text := w.ruler.text
	root, at, err := readJSON(text)
	switch {
	case err == nil:
		w.root = root
		return true
	case err != errNotJSON && json.Valid([]byte(text)):
		w.record(at, "", err)
		return false
	case strings.HasSuffix(w.file, ".json") && strings.TrimSpace(text) != "":
		at, err := jsonSyntaxError(text)
		w.record(at, "", err)
		return false
	}
	w.yaml = true
	root, errs := readYAML(text)
	for _, e := range errs {
		w.record(e.at, "", e.err)
	}
	if root == nil {
		root = tree{{at: lineColumn(1, 1), size: 1}}
	}
	w.root = root
	return len(errs) == 0
}

// A syntaxError is a mistake found before there is a tree.
type syntaxError struct {
	at  position
	err error
}

// checkText looks for what no text file has.
func checkText(data []byte) (position, error) {
	const ones = 0x0101010101010101
	for i := 0; i < len(data); {
		if i+8 <= len(data) { // eight at once, if none is below 0x20 or above 0x7e
			if x := binary.LittleEndian.Uint64(data[i:]); (x|(x+ones)|(x-' '*ones))&(0x80*ones) == 0 {
				i += 8
				continue
			}
		}
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return position(i), fmt.Errorf("byte %#02x is not UTF-8", data[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', 0x7f <= r && r < 0xa0 && r != 0x85:
			return position(i), fmt.Errorf("control character U+%04X", r)
		}
		i += size
	}
	return 0, nil
}

// warnings returns those of m; path translates their paths to those of the file.
func (w *walker) warnings(m *routing.Model, path func(string) string) []Warning {
	var warnings []Warning
	if len(m.Networks)+len(m.Routers)+len(m.Ports) == 0 {
		warnings = append(warnings, w.warning(w.root[0].at, "", "the file declares nothing"))
	}
	for _, e := range m.Warnings() {
		p := path(e.Path)
		warnings = append(warnings, w.warning(w.find(p).at, p, e.Err.Error()))
	}
	slices.SortStableFunc(warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return warnings
}

func (w *walker) warning(at position, path, text string) Warning {
	line, col := w.place(at)
	return Warning{Place{w.file, line, col, path}, text}
}
