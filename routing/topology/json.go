package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	errTooDeep = fmt.Errorf("lists and mappings are nested more than %d deep", maxDepth)
	errTooMany = fmt.Errorf("there are more than %d keys and values", maxNodes)
	errNotJSON = errors.New("not JSON") // jsonSyntaxError has the reason
)

// readJSON parses JSON (RFC 8259). It accepts the same texts as encoding/json. The error is
// one of the above, and the returned position is the place of the error.
func readJSON(text string) (tree, position, error) {
	r := jsonReader{text: text}
	if r.space(); strings.HasPrefix(text[r.off:], "{") || strings.HasPrefix(text[r.off:], "[") { // any other text is a scalar, or YAML
		r.tree = make(tree, 0, min(countNodes(text), maxNodes))
	}
	err := r.value(0)
	if err == nil {
		if r.space(); r.off < len(text) {
			err = errNotJSON
		}
	}
	if err != nil {
		return nil, position(r.off), err
	}
	return r.tree, 0, nil
}

// countNodes returns the number of nodes of a text that is JSON.
func countNodes(text string) int {
	n, quoted := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			if c == '\\' {
				i++
			}
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == ',', c == ':', c == '[', c == '{': // a value or a key follows, except in an empty list or mapping
			n++
		}
	}
	return n
}

// A jsonReader reads text from off on, and appends to tree.
type jsonReader struct {
	text string
	off  int
	tree tree
}

// space skips white space.
func (r *jsonReader) space() {
	for r.off < len(r.text) {
		switch r.text[r.off] {
		case ' ', '\t', '\n', '\r':
			r.off++
		default:
			return
		}
	}
}

// take skips white space and then character c. It returns false if c does not follow.
func (r *jsonReader) take(c byte) bool {
	r.space()
	if r.off == len(r.text) || r.text[r.off] != c {
		return false
	}
	r.off++
	return true
}

// add appends a node that begins at off.
func (r *jsonReader) add(k kind) (index int, err error) {
	index = len(r.tree)
	if index == maxNodes {
		return index, errTooMany
	}
	if index == cap(r.tree) { // doubles the capacity; append would add only a quarter
		r.tree = slices.Grow(r.tree, min(index, maxNodes-index))
	}
	r.tree = append(r.tree, node{at: position(r.off), size: 1, kind: k})
	return index, nil
}

// value reads a value inside depth lists and mappings.
func (r *jsonReader) value(depth int) error {
	r.space()
	if r.off == len(r.text) {
		return errNotJSON
	}
	switch c := r.text[r.off]; c {
	case '"':
		return r.string()
	case '{', '[':
		if depth == maxDepth {
			return errTooDeep
		}
		if c == '{' {
			return r.members(depth)
		}
		return r.items(depth)
	case 't':
		return r.word("true", kindBool)
	case 'f':
		return r.word("false", kindBool)
	case 'n':
		return r.word("null", kindNull)
	}
	return r.number()
}

func (r *jsonReader) items(depth int) error {
	i, err := r.add(kindList)
	if err != nil {
		return err
	}
	r.off++
	for n := 0; !r.take(']'); n++ {
		if n > 0 && !r.take(',') {
			return errNotJSON
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.tree[i].size = int32(len(r.tree) - i)
	return nil
}

func (r *jsonReader) members(depth int) error {
	i, err := r.add(kindMapping)
	if err != nil {
		return err
	}
	r.off++
	for n := 0; !r.take('}'); n++ {
		if n > 0 && !r.take(',') {
			return errNotJSON
		}
		if r.space(); r.off == len(r.text) || r.text[r.off] != '"' {
			return errNotJSON
		}
		if err := r.string(); err != nil {
			return err
		}
		if !r.take(':') {
			return errNotJSON
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.tree[i].size = int32(len(r.tree) - i)
	return nil
}

func (r *jsonReader) word(text string, k kind) error {
	i, err := r.add(k)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(r.text[r.off:], text) {
		return errNotJSON
	}
	r.off += len(text)
	if k != kindNull {
		r.tree[i].text = text
	}
	return nil
}

// string reads a string. Without escapes its text is a part of r.text.
func (r *jsonReader) string() error {
	i, err := r.add(kindString)
	if err != nil {
		return err
	}
	s := r.text[r.off+1:]
	for k := 0; k < len(s); k++ {
		switch c := s[k]; {
		case c == '"':
			r.tree[i].text = s[:k]
			r.off += k + 2
			return nil
		case c == '\\':
			return r.escaped(i)
		case c < ' ':
			return errNotJSON
		}
	}
	return errNotJSON
}

// escaped reads a string with escapes into node i.
func (r *jsonReader) escaped(i int) error {
	for k := r.off + 1; k < len(r.text); k++ {
		switch r.text[k] {
		case '\\':
			k++
		case '"':
			if err := json.Unmarshal([]byte(r.text[r.off:k+1]), &r.tree[i].text); err != nil {
				return errNotJSON
			}
			r.off = k + 1
			return nil
		}
	}
	return errNotJSON
}

// number reads a number.
func (r *jsonReader) number() error {
	i, err := r.add(kindNumber)
	if err != nil {
		return err
	}
	k := r.off
	digits := func() (n int) {
		for ; k < len(r.text) && '0' <= r.text[k] && r.text[k] <= '9'; k++ {
			n++
		}
		return n
	}
	next := func(set string) bool {
		if k < len(r.text) && strings.IndexByte(set, r.text[k]) >= 0 {
			k++
			return true
		}
		return false
	}
	next("-")
	if !next("0") && digits() == 0 {
		return errNotJSON
	}
	if next(".") && digits() == 0 {
		return errNotJSON
	}
	if next("eE") {
		next("+-")
		if digits() == 0 {
			return errNotJSON
		}
	}
	r.tree[i].text = r.text[r.off:k]
	r.off = k
	return nil
}

// inWords replaces phrases of the errors of package json with plain words.
var inWords = strings.NewReplacer("invalid character", "unexpected",
	"looking for beginning of value", "where a value should begin", "looking for beginning of object key string", "where a key should begin")

// jsonSyntaxError returns the reason why text is not JSON, and its position.
func jsonSyntaxError(text string) (position, error) {
	var v json.RawMessage
	err := json.Unmarshal([]byte(text), &v)
	at := 0
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = min(max(int(e.Offset)-1, 0), len(text))
		for 0 < at && at < len(text) && !utf8.RuneStart(text[at]) {
			at--
		}
	}
	return position(at), errors.New("not JSON: " + inWords.Replace(err.Error()))
}
