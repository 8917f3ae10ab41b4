package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// readJSON reads data, which is valid JSON.
func readJSON(data []byte) (*node, []syntaxError) {
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1, col: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, []syntaxError{{r.line, r.col, err}}
	}
	return n, nil
}

// A jsonReader keeps the position of the token that it is about to read.
type jsonReader struct {
	data      []byte
	dec       *json.Decoder
	off       int
	line, col int
}

// next returns a node at the next token and the token.
func (r *jsonReader) next() (*node, json.Token, error) {
	r.advance(int(r.dec.InputOffset()))
	for r.off < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[r.off]) >= 0 {
		r.advance(r.off + 1)
	}
	n := &node{line: r.line, col: r.col}
	t, err := r.dec.Token()
	return n, t, err
}

func (r *jsonReader) advance(to int) {
	for r.off < to {
		if r.data[r.off] == '\n' {
			r.line, r.col = r.line+1, 0
		}
		r.off++
		if r.off == len(r.data) || utf8.RuneStart(r.data[r.off]) {
			r.col++
		}
	}
}

func (r *jsonReader) value(depth int) (*node, error) {
	n, t, err := r.next()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case nil:
	case bool:
		n.kind, n.text = kindBool, fmt.Sprint(t)
	case json.Number:
		n.kind, n.text = kindNumber, t.String()
	case string:
		n.kind, n.text = kindString, t
	case json.Delim:
		if depth == maxDepth {
			return nil, errTooDeep
		}
		return n, r.members(n, t, depth)
	}
	return n, nil
}

// members reads what is in the list or mapping n, and its end.
func (r *jsonReader) members(n *node, start json.Delim, depth int) error {
	n.kind = kindList
	if start == '{' {
		n.kind = kindMapping
	}
	for r.dec.More() {
		var e entry
		if n.kind == kindMapping {
			key, t, err := r.next()
			if err != nil {
				return err
			}
			key.kind, key.text = kindString, t.(string) // JSON has no other keys
			e.key = key
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if e.value = value; n.kind == kindMapping {
			n.entries = append(n.entries, e)
		} else {
			n.items = append(n.items, value)
		}
	}
	_, _, err := r.next() // ] or }
	return err
}

// jsonSyntaxError returns the mistake that makes data invalid JSON.
func jsonSyntaxError(data []byte) syntaxError {
	r := jsonReader{data: data, line: 1, col: 1}
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		r.advance(min(max(int(e.Offset)-1, 0), len(data)))
	}
	return syntaxError{r.line, r.col, fmt.Errorf("not JSON: %w", err)}
}
