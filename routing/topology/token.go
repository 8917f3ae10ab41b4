package topology

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// checkTokens refuses unsupported YAML, and text for which the library's parser takes too long
// or recurses too deep. The parser recurses for each level and for each key of a block
// mapping. It also copies these keys. For each missing value, it moves all following tokens.
func checkTokens(tokens token.Tokens) []syntaxError {
	c := converter{}
	var in nesting
	var prev *token.Token // nil at the beginning
	ended := false        // after a document-end mark
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		in.add(prev, t)
		switch {
		case ended || t.Type == token.DocumentHeaderType && prev != nil:
			c.bad(t, "a second document: want one")
			return c.errs
		case in.depth() > maxDepth:
			c.errs = append(c.errs, syntaxError{tokenAt(t), errTooDeep})
			return c.errs
		case len(in.block) > 0 && in.block[len(in.block)-1].keys > maxKeys:
			c.bad(t, "a mapping with more than %d keys", maxKeys)
			return c.errs
		case in.empty > maxEmpty:
			c.bad(prev, "more than %d keys or list items without a value", maxEmpty)
			return c.errs
		case len(c.errs) > maxErrors:
			return c.errs
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
			return c.errs // the next token is not the first, and would cause another error
		case token.MappingKeyType:
			c.bad(t, "explicit keys (?) are not supported")
		}
		prev = t
	}
	return c.errs
}

// nesting tracks the lists and mappings around a token.
type nesting struct {
	block []level // block lists and mappings, outermost first; a list in the column of its key is in the same level
	flow  []level // flow lists and mappings, inside the last level of block
	chain int     // number of colons and dashes in the current flow item
	empty int     // number of keys and list items without a value so far
}

// A level is a list or a mapping.
type level struct {
	col     int // of its first token
	keys    int // of a block mapping
	mapping bool
	colon   bool // seen in the current item of a flow mapping
}

func (d *nesting) depth() int { return len(d.block) + len(d.flow) + d.chain }

// add handles token t, which follows prev.
func (d *nesting) add(prev, t *token.Token) {
	if d.leftEmpty(prev, t) {
		d.empty++
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.flow = append(d.flow, level{mapping: t.Type == token.MappingStartType})
		d.chain = 0
	case token.SequenceEndType, token.MappingEndType:
		d.flow = d.flow[:max(0, len(d.flow)-1)]
		d.chain = 0
	case token.CollectEntryType:
		d.chain = 0
		if n := len(d.flow); n > 0 {
			d.flow[n-1].colon = false
		}
	case token.MappingValueType, token.SequenceEntryType:
		if n := len(d.flow); n > 0 {
			d.flow[n-1].colon = true
			d.chain++
			return
		}
		d.addBlock(prev, t)
	}
}

func (d *nesting) addBlock(prev, t *token.Token) {
	col := t.Position.Column
	if t.Type == token.MappingValueType && prev != nil {
		col = prev.Position.Column // of the key
	}
	for len(d.block) > 0 && d.block[len(d.block)-1].col > col {
		d.block = d.block[:len(d.block)-1]
	}
	if len(d.block) == 0 || d.block[len(d.block)-1].col < col {
		d.block = append(d.block, level{col: col})
	}
	if t.Type == token.MappingValueType {
		d.block[len(d.block)-1].keys++
	}
}

// leftEmpty reports whether prev is a key or the dash of a list item without a value. t is the
// token after prev.
func (d *nesting) leftEmpty(prev, t *token.Token) bool {
	if prev == nil {
		return false
	}
	opened := prev.Type == token.MappingValueType || prev.Type == token.SequenceEntryType
	switch t.Type {
	case token.CollectEntryType, token.SequenceEndType, token.MappingEndType:
		if n := len(d.flow); n > 0 && d.flow[n-1].mapping && !d.flow[n-1].colon {
			return prev.Type != token.MappingStartType && prev.Type != token.CollectEntryType
		}
		return opened
	}
	if !opened || len(d.flow) > 0 || len(d.block) == 0 || t.Position.Line == prev.Position.Line {
		return false
	}
	col := d.block[len(d.block)-1].col
	return t.Position.Column < col ||
		t.Position.Column == col && (prev.Type == token.SequenceEntryType || t.Type != token.SequenceEntryType)
}

// joinPlain corrects the library's handling of plain scalars with colons in a list in a flow
// mapping. The library treats the first colon of [2001:db8::10] as the end of a key. A colon
// ends a plain key only if a space or an indicator follows (YAML 1.2.2 §7.3.3).
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

// isPlain reports whether t is an unquoted scalar.
func isPlain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType,
		token.OctetIntegerType, token.HexIntegerType, token.BinaryIntegerType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// adjacent reports whether b begins where a ends, on the same line.
func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line &&
		a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}
