package intent

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// checkTokens refuses what we do not support, and what the library's parser
// takes too long for or recurses too deep in.
func checkTokens(tokens token.Tokens) []syntaxError {
	c := converter{}
	var nest nesting
	var prev *token.Token // nil at the beginning
	ended := false        // a document-end mark was seen
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		if ended || t.Type == token.DocumentHeaderType && prev != nil {
			c.bad(t, "a second document: want one")
			break
		}
		if nest.add(prev, t) > maxDepth {
			c.errs = append(c.errs, syntaxError{t.Position.Line, t.Position.Column, errTooDeep})
			break
		}
		switch t.Type {
		case token.DocumentEndType:
			ended = true
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			c.bad(t, "anchors (&), aliases (*) and merge keys (<<) are not supported: write the value out")
		case token.TagType:
			c.bad(t, "tags (!) are not supported")
		case token.DirectiveType:
			c.bad(t, "directives (%%) are not supported")
			return c.errs // what follows them is not the first token any more
		case token.MappingKeyType:
			c.bad(t, "explicit keys (?) are not supported")
		case token.SequenceEntryType:
			// Many of these take the library a quadratic time.
			if prev != nil && prev.Type == t.Type && prev.Position.Line != t.Position.Line {
				c.bad(prev, "an empty list item")
			}
		}
		if len(c.errs) >= maxErrors {
			break
		}
		prev = t
	}
	return c.errs
}

// nesting follows how deep in lists and mappings a token is. It may count a
// level too many, not too few.
type nesting struct {
	block []int // columns of the block lists and mappings around, outermost first
	flow  int   // of [ and {
	chain int   // of colons and dashes in the present flow item
}

// add takes the next token, with the one before it, and returns its depth.
func (d *nesting) add(prev, t *token.Token) int {
	at := t
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.flow++
		d.chain = 0
	case token.SequenceEndType, token.MappingEndType:
		d.flow = max(0, d.flow-1)
		d.chain = 0
	case token.CollectEntryType:
		d.chain = 0
	case token.MappingValueType, token.SequenceEntryType:
		if d.flow > 0 {
			d.chain++
			break
		}
		if t.Type == token.MappingValueType && prev != nil {
			at = prev // the key
		}
		for len(d.block) > 0 && d.block[len(d.block)-1] >= at.Position.Column {
			d.block = d.block[:len(d.block)-1]
		}
		d.block = append(d.block, at.Position.Column)
	}
	return len(d.block) + d.flow + d.chain
}

// joinPlain undoes what the library does to plain scalars with colons in a list
// in a flow mapping: it takes the first colon of [2001:db8::10] for the end of
// a key. A colon ends a plain key only if a space or an indicator follows (YAML
// 1.2.2 §7.3.3).
func joinPlain(tokens token.Tokens) token.Tokens {
	flow := 0
	out := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.MappingValueType:
			if flow <= 0 || i+1 == len(tokens) || !isPlain(tokens[i+1]) || !adjacent(t, tokens[i+1]) {
				break
			}
			joined := *t
			joined.Type, joined.CharacterType, joined.Indicator = token.StringType, token.CharacterTypeMiscellaneous, token.NotIndicator
			parts := []*token.Token{t, tokens[i+1]}
			if n := len(out); n > 0 && isPlain(out[n-1]) {
				if !adjacent(out[n-1], t) {
					break
				}
				parts = append([]*token.Token{out[n-1]}, parts...)
				out = out[:n-1]
			} else if n > 0 && (out[n-1].Type == token.SingleQuoteType || out[n-1].Type == token.DoubleQuoteType) {
				break // a quoted key needs no space after its colon
			}
			joined.Value, joined.Origin, joined.Position = "", "", parts[0].Position
			for _, p := range parts {
				joined.Value += p.Value
				joined.Origin += p.Origin
			}
			link(parts[0].Prev, &joined)
			link(&joined, tokens[i+1].Next)
			out = append(out, &joined)
			i++
			continue
		}
		out = append(out, t)
	}
	return out
}

func link(a, b *token.Token) {
	if a != nil {
		a.Next = b
	}
	if b != nil {
		b.Prev = a
	}
}

// isPlain reports whether t is a scalar without quotes.
func isPlain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType,
		token.OctetIntegerType, token.HexIntegerType, token.BinaryIntegerType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// adjacent reports whether b begins where a, on one line, ends.
func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line &&
		a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}
