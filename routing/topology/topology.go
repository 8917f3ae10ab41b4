// Package topology is the codec of the topology language. It reads and writes topology files
// in YAML or JSON, request bodies and stored objects. It reports errors with line and column.
//
// A topology has the keys hosts, networks, routers and ports. The value of each is a list of
// mappings. The keys of a mapping are the fields of [routing.Host], [routing.Network],
// [routing.Router], [routing.Interface] or [routing.Port], in lower case with underscores.
// Unknown keys are errors. Anchors, aliases, merge keys and tags are refused: files do not
// need them, because all objects of a topology differ, and without them each value has one
// position.
//
// # Files
//
// [Parse] reads and validates a file. [WriteYAML] and [WriteJSON] write one.
//
// # Bodies of requests
//
// The Decode functions decode a body in JSON (RFC 8259). All syntax errors are
// reported at once, as a join of [*Error]s in the order of the body, with paths
// of the body. The caller has to validate the objects. If the body has errors,
// but not more than maxErrors, a Decode function calls its argument also with
// the decoded change, unless also is nil. It adds the [*routing.PathError]s
// that also returns to its own errors, except consequences of values with
// errors. Their paths refer to the change's Put. [Shape.Path] translates them
// to paths of the body.
//
// # Objects
//
// [AppendHost], [AppendNetwork], [AppendRouter] and [AppendPort] encode an object for a store,
// and [ParseHost], [ParseNetwork], [ParseRouter] and [ParsePort] decode it. The documents
// ([Topology], [Network], …) are structs for encoding/json with the same keys. Their tags
// describe each key, as docs/configuration.md does. Keys with default values are omitted.
//
// The result of reading shares no memory with the input.
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

// Limits of a file or body. They bound time and memory. Reading takes about 200 bytes of
// memory for each byte of the most expensive YAML, and about 30 for each byte of JSON and
// usual YAML. The limits are far above the needs of one host: 100,000 ports are about 9 MB.
const (
	maxSize   = 32 << 20 // bytes
	maxDepth  = 32       // nested lists and mappings
	maxNodes  = 8 << 20  // keys and values in JSON
	maxMarks  = 4 << 20  // punctuation and line ends in YAML, see countMarks
	maxKeys   = 256      // keys of a block mapping in YAML
	maxEmpty  = 1000     // keys and list items without a value in YAML
	maxErrors = 10_000   // errors that are reported one by one; further errors are counted
	maxText   = 256      // bytes of one scalar
)

// A Place is a position in a file.
type Place struct {
	File   string
	Line   int    // from 1
	Column int    // from 1, in characters
	Path   string // path of the value, such as "routers[0].interfaces[1].mac"; "" means the whole file
}

// String returns "file:line:column: path", or "file:line:column" without a path.
func (p Place) String() string {
	s := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	if p.Path != "" {
		s += ": " + p.Path
	}
	return s
}

// An Error is an error in a file.
type Error struct {
	Place
	Err error
}

func (e *Error) Error() string { return e.Place.String() + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// A KeyError is the Err of an [Error] if a key of a mapping is missing, unknown or given
// twice. The path of the Error is the path of the mapping.
type KeyError struct {
	Key  string
	null bool // the key is unknown, and its value is null
	err  error
}

func (e *KeyError) Error() string { return e.err.Error() }

// A Warning describes a part of a file that is valid but probably not intended.
type Warning struct {
	Place
	Text string
}

func (w Warning) String() string { return w.Place.String() + ": " + w.Text }

// Parse reads a topology file. file is its name, used only in messages. Valid JSON (RFC 8259)
// is read as JSON, everything else as YAML 1.2, with one document. If the file's name ends in
// .json, it must be JSON.
//
// If the file has errors, the model is nil and the error is a join of [*Error]s in file order,
// including those of [routing.Model.Validate]. Syntax errors hide later errors, and
// consequences of values with errors are not reported. Without errors the model is valid, and
// the warnings are those of [routing.Model.Warnings]. A file without objects has one more
// warning.
func Parse(file string, data []byte) (*routing.Model, []Warning, error) {
	return ParseFor(file, data, (*routing.Model).Validate)
}

// ParseFor is like [Parse] for a file that is a part of the intent: check is called instead of
// [routing.Model.Validate], and must return the same kind of errors.
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

// read parses the text in any syntax. If it cannot, it records an error and returns false.
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

// A syntaxError is an error found before the tree exists.
type syntaxError struct {
	at  position
	err error
}

// checkText returns an error for the first byte sequence that a text file cannot have, and its
// position.
func checkText(data []byte) (position, error) {
	const ones = 0x0101010101010101
	for i := 0; i < len(data); {
		if i+8 <= len(data) { // eight bytes at once, if all are in 0x20–0x7e
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

// warnings returns the warnings of m. It calls path to translate their paths to paths in the
// file.
func (w *walker) warnings(m *routing.Model, path func(string) string) []Warning {
	var warnings []Warning
	if m.Len() == 0 {
		warnings = append(warnings, w.warning(w.root[0].at, "", "the file has no objects"))
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
