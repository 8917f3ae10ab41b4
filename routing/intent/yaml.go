package intent

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

var errTooDeep = fmt.Errorf("lists and mappings are nested more than %d deep", maxDepth)

// readYAML reads data, a YAML stream of at most one document. The node is nil
// if there is none.
func readYAML(data []byte) (root *node, errs []syntaxError) {
	// The library is not written for hostile input; a panic in it is a
	// mistake in the file.
	defer func() {
		if p := recover(); p != nil {
			root, errs = nil, []syntaxError{{1, 1, fmt.Errorf("not readable as YAML: %v", p)}}
		}
	}()
	if n := countMarks(data); n > maxMarks {
		return nil, []syntaxError{{1, 1, fmt.Errorf("the file has %d punctuation marks, more than %d", n, maxMarks)}}
	}
	tokens := joinPlain(lexer.Tokenize(string(data)))
	if errs := checkTokens(tokens); len(errs) > 0 {
		return nil, errs
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if isAlmostJSON(data) {
			return nil, []syntaxError{jsonSyntaxError(data)}
		}
		return nil, []syntaxError{libraryError(err)}
	}
	c := converter{}
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			c.bad(doc.Body.GetToken(), "a second document: want one")
			break
		}
		root = c.node(doc.Body, nil)
	}
	return root, c.errs
}

// countMarks returns the number of bytes that can begin a token, more or less:
// what the library needs grows with the number of tokens.
func countMarks(data []byte) int {
	n := 0
	for i, c := range data {
		switch c {
		case ',', '[', ']', '{', '}', '"', '\'', '\n', '\r', '#', '&', '*', '!', '|', '>', '%', '@', '`':
			n++
		case ':', '-', '?':
			if i+1 == len(data) || bytes.IndexByte([]byte(" \t\r\n,[]{}\"'"), data[i+1]) >= 0 {
				n++
			}
		}
	}
	return n
}

// isAlmostJSON reports whether data looks as if it were meant to be JSON.
func isAlmostJSON(data []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{"))
	return ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte(`"`))
}

// libraryError makes one of ours of an error of the library.
func libraryError(err error) syntaxError {
	var e interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &e) {
		return syntaxError{1, 1, errors.New(clip(err.Error()))}
	}
	s := syntaxError{1, 1, errors.New(clip(e.GetMessage()))}
	if t := e.GetToken(); t != nil && t.Position != nil {
		s.line, s.col = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	return s
}

// A converter makes nodes of the library's.
type converter struct{ errs []syntaxError }

func (c *converter) bad(t *token.Token, format string, args ...any) {
	c.errs = append(c.errs, syntaxError{max(1, t.Position.Line), max(1, t.Position.Column), fmt.Errorf(format, args...)})
}

// node converts n, the value of key if that is not nil.
func (c *converter) node(n ast.Node, key *node) *node {
	if n == nil {
		if key == nil {
			return &node{line: 1, col: 1}
		}
		return &node{line: key.line, col: key.col}
	}
	t := n.GetToken()
	out := &node{line: max(1, t.Position.Line), col: max(1, t.Position.Column)}
	switch n := n.(type) {
	case *ast.MappingNode:
		c.mapping(out, n.Values, n.IsFlowStyle)
	case *ast.MappingValueNode:
		c.mapping(out, []*ast.MappingValueNode{n}, false)
	case *ast.SequenceNode:
		out.kind = kindList
		for _, v := range n.Values {
			out.items = append(out.items, c.node(v, out))
		}
	case *ast.StringNode:
		out.kind, out.text = kindString, n.Value
		if t.Type == token.StringType && n.Value != "" && strings.Trim(n.Value, "0123456789") == "" {
			out.kind = kindNumber // larger than the library's
		}
	case *ast.LiteralNode:
		out.kind, out.text = kindString, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = kindNumber, t.Value
	case *ast.BoolNode:
		out.kind, out.text = kindBool, t.Value
	case *ast.NullNode:
		if key != nil && out.line < key.line {
			out.line, out.col = key.line, key.col
		}
		out.text = t.Value
	default:
		c.bad(t, "%s is not supported here", strings.ToLower(n.Type().String()))
	}
	return out
}

func (c *converter) mapping(out *node, values []*ast.MappingValueNode, flow bool) {
	out.kind = kindMapping
	out.entries = make([]entry, 0, len(values))
	for i, v := range values {
		key := c.node(v.Key, nil)
		if key.kind == kindList || key.kind == kindMapping {
			c.bad(v.Key.GetToken(), "want a string as a key, got %v", key.kind)
		}
		if i == 0 && !flow { // the library gives the place of the colon
			out.line, out.col = key.line, key.col
		}
		out.entries = append(out.entries, entry{key, c.node(v.Value, key)})
	}
}
