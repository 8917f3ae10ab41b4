package topology

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readYAML parses a YAML stream of at most one document. The tree is nil if the stream has no
// document.
func readYAML(text string) (root tree, errs []syntaxError) {
	// The library is not hardened against hostile input. If it panics, the panic is reported
	// as an error in the file.
	defer func() {
		if p := recover(); p != nil {
			root, errs = nil, []syntaxError{{lineColumn(1, 1), fmt.Errorf("not readable as YAML: %v", p)}}
		}
	}()
	if n := countMarks(text); n > maxMarks {
		return nil, []syntaxError{{lineColumn(1, 1), fmt.Errorf("the file has %d punctuation marks, more than %d", n, maxMarks)}}
	}
	if t, ok := readPlainYAML(text); ok {
		return t, nil
	}
	return readAnyYAML(text)
}

// readAnyYAML parses YAML with the library.
func readAnyYAML(text string) (root tree, errs []syntaxError) {
	tokens := joinPlain(lexer.Tokenize(text))
	if errs := checkTokens(tokens); len(errs) > 0 {
		return nil, errs
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if isAlmostJSON(text) {
			at, err := jsonSyntaxError(text)
			r := ruler{text: text}
			return nil, []syntaxError{{lineColumn(r.place(int(at))), err}}
		}
		return nil, []syntaxError{libraryError(err)}
	}
	c := converter{}
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if c.tree != nil {
			c.bad(doc.Body.GetToken(), "a second document: want one")
			break
		}
		c.add(doc.Body, 0)
	}
	return c.tree, c.errs
}

// countMarks returns approximately the number of bytes that can begin a token. The library's
// memory grows with the number of tokens.
func countMarks(text string) int {
	n := 0
	for i := range len(text) {
		switch text[i] {
		case ',', '[', ']', '{', '}', '"', '\'', '\n', '\r', '#', '&', '*', '!', '|', '>', '%', '@', '`':
			n++
		case ':', '-', '?':
			if i+1 == len(text) || strings.IndexByte(" \t\r\n,[]{}\"'", text[i+1]) >= 0 {
				n++
			}
		}
	}
	return n
}

// isAlmostJSON reports whether text looks like malformed JSON.
func isAlmostJSON(text string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "{")
	return ok && strings.HasPrefix(strings.TrimSpace(rest), `"`)
}

// libraryError converts an error of the library.
func libraryError(err error) syntaxError {
	var e interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &e) {
		return syntaxError{lineColumn(1, 1), errors.New(clip(err.Error()))}
	}
	s := syntaxError{lineColumn(1, 1), errors.New(clip(e.GetMessage()))}
	if t := e.GetToken(); t != nil && t.Position != nil {
		s.at = tokenAt(t)
	}
	return s
}

func tokenAt(t *token.Token) position {
	return lineColumn(max(1, t.Position.Line), max(1, t.Position.Column))
}

// A converter converts a tree of the library.
type converter struct {
	tree tree
	errs []syntaxError
}

func (c *converter) bad(t *token.Token, format string, args ...any) {
	c.errs = append(c.errs, syntaxError{tokenAt(t), fmt.Errorf(format, args...)})
}

// add appends the tree of n and returns its index. key is the position of n's key or list, or
// 0.
func (c *converter) add(n ast.Node, key position) int {
	i := len(c.tree)
	c.tree = append(c.tree, node{})
	out := node{at: cmp.Or(key, lineColumn(1, 1))}
	if n != nil {
		out = c.convert(n, key)
	}
	out.size = int32(len(c.tree) - i)
	c.tree[i] = out
	return i
}

// convert returns the node of n and appends its children.
func (c *converter) convert(n ast.Node, key position) node {
	t := n.GetToken()
	out := node{at: tokenAt(t)}
	switch n := n.(type) {
	case *ast.MappingNode:
		c.members(&out, n.Values, n.IsFlowStyle)
	case *ast.MappingValueNode:
		c.members(&out, []*ast.MappingValueNode{n}, false)
	case *ast.SequenceNode:
		out.kind = kindList
		for _, v := range n.Values {
			c.add(v, out.at)
		}
	case *ast.StringNode:
		out.kind, out.text = kindString, n.Value
		if t.Type == token.StringType && n.Value != "" && strings.Trim(n.Value, "0123456789") == "" {
			out.kind = kindNumber // too large for the library
		}
	case *ast.LiteralNode:
		out.kind, out.text = kindString, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = kindNumber, t.Value
	case *ast.BoolNode:
		out.kind, out.text = kindBool, t.Value
	case *ast.NullNode:
		if out.at>>32 < key>>32 { // the library's position is on an earlier line
			out.at = key
		}
		out.text = t.Value
	default:
		c.bad(t, "%s is not supported here", strings.ToLower(n.Type().String()))
	}
	return out
}

func (c *converter) members(out *node, values []*ast.MappingValueNode, flow bool) {
	out.kind = kindMapping
	for i, v := range values {
		k := c.add(v.Key, 0)
		key := c.tree[k]
		if key.kind == kindList || key.kind == kindMapping {
			c.bad(v.Key.GetToken(), "want a string as a key, got %v", key.kind)
		}
		if i == 0 && !flow { // the library's position is that of the colon
			out.at = key.at
		}
		c.add(v.Value, key.at)
	}
}
