package ofproto

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A SyntaxError describes an error in a text and its position.
type SyntaxError struct {
	Offset int    // offset of the first wrong byte
	Near   string // the text at Offset; "" at the end
	Msg    string // the expected text
}

func (e *SyntaxError) Error() string {
	if e.Near == "" {
		return fmt.Sprintf("at byte %d, the end: %s", e.Offset, e.Msg)
	}
	return fmt.Sprintf("at byte %d, %q: %s", e.Offset, e.Near, e.Msg)
}

// A span is a part of the parsed text.
type span struct {
	s  string
	at int // its offset
}

// errorf returns an error about the span.
func (a span) errorf(format string, args ...any) error {
	near := a.s
	if len(near) > 40 {
		near = near[:40]
	}
	return &SyntaxError{a.at, near, fmt.Sprintf(format, args...)}
}

// from returns the span without its first n bytes.
func (a span) from(n int) span { return span{a.s[n:], a.at + n} }

// cut cuts the span at the first sep. If there is no sep, before is the whole span.
func (a span) cut(sep string) (before, after span, found bool) {
	i := strings.Index(a.s, sep)
	if i < 0 {
		return a, a.from(len(a.s)), false
	}
	return span{a.s[:i], a.at}, a.from(i + len(sep)), true
}

// uint parses a number in C syntax, of at most the given number of bits.
func (a span) uint(bits int) (uint64, error) {
	n, err := strconv.ParseUint(a.s, 0, bits)
	if err != nil || strings.Contains(a.s, "_") {
		return 0, a.errorf("want a number of at most %d bits", bits)
	}
	return n, nil
}

// setUint parses a number into *p.
func setUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](a span, p *T) error {
	bits := 8
	for T(1)<<(bits-1)<<1 != 0 {
		bits *= 2
	}
	n, err := a.uint(bits)
	*p = T(n)
	return err
}

// hex parses hexadecimal digits, two for each byte. Dots between them are ignored.
func (a span) hex() (string, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(a.s, ".", ""))
	if err != nil {
		return "", a.errorf("want two hexadecimal digits for each byte")
	}
	return string(b), nil
}

// word returns the index of the span in words.
func (a span) word(words []string) (int, error) {
	for i, w := range words {
		if strings.EqualFold(a.s, w) {
			return i, nil
		}
	}
	return 0, a.errorf("want one of %s", strings.Join(words, ", "))
}

// port parses a port number or a reserved name.
func (a span) port() (PortNo, error) {
	for p, name := range reservedPorts {
		if strings.EqualFold(a.s, name) {
			return p, nil
		}
	}
	if strings.EqualFold(a.s, "none") {
		return PortAny, nil
	}
	n, err := strconv.ParseUint(a.s, 0, 32)
	if err != nil {
		return 0, a.errorf("want the number of a port or a reserved name")
	}
	return PortNo(n), nil
}

// An item is one element of an ovs-ofctl list: a word, key=value, key:value or
// key(value), optionally followed by "->target".
type item struct {
	key, val span
	parens   bool // the value is in parentheses
	target   span
}

// separators are the bytes between items.
const separators = ", \t\r\n"

// next removes the first item from the span and returns it. At the end, ok is false.
func (a *span) next() (it item, ok bool, err error) {
	*a = a.from(len(a.s) - len(strings.TrimLeft(a.s, separators)))
	if a.s == "" {
		return item{}, false, nil
	}
	n := strings.IndexAny(a.s, ":=("+separators)
	if n < 0 {
		n = len(a.s)
	}
	it.key = span{a.s[:n], a.at}
	it.val = a.from(n)
	it.val.s = ""
	*a = a.from(n)
	switch {
	case a.s == "" || strings.Contains(separators, a.s[:1]):
		return it, true, nil
	case a.s[0] == '(':
		it.parens = true
		if it.val, err = a.inParens(); err != nil {
			return item{}, false, err
		}
		if strings.HasPrefix(a.s, "->") {
			*a = a.from(2)
			if it.target, err = a.value(); err != nil {
				return item{}, false, err
			}
		}
	default:
		*a = a.from(1)
		if it.val, err = a.value(); err != nil {
			return item{}, false, err
		}
	}
	if it.key.s == "" {
		return item{}, false, it.key.errorf("want a word before the value")
	}
	return it, true, nil
}

// inParens removes the parenthesized text that the span starts with, and returns it
// without the parentheses.
func (a *span) inParens() (span, error) {
	level := 0
	for i := range len(a.s) {
		switch a.s[i] {
		case '(':
			level++
		case ')':
			level--
		}
		if level == 0 {
			in := span{a.s[1:i], a.at + 1}
			*a = a.from(i + 1)
			return in, nil
		}
	}
	return span{}, a.errorf("parenthesis is not closed")
}

// value removes and returns the text before the next separator outside parentheses.
func (a *span) value() (span, error) {
	rest := *a
	for rest.s != "" && !strings.Contains(separators, rest.s[:1]) {
		if rest.s[0] != '(' {
			rest = rest.from(1)
		} else if _, err := rest.inParens(); err != nil {
			return span{}, err
		}
	}
	v := span{a.s[:len(a.s)-len(rest.s)], a.at}
	*a = rest
	return v, nil
}

// each calls f for each item of the span.
func (a span) each(f func(item) error) error {
	for {
		it, ok, err := a.next()
		if err != nil || !ok {
			return err
		}
		if err := f(it); err != nil {
			return err
		}
	}
}

// unknown returns the error for an item that is not valid in this kind of text, such as "a match".
func (it item) unknown(of string) error { return it.key.errorf("not known in %s", of) }

// subfield parses a field and a range of its bits, such as NXM_NX_REG0[0..7].
func (a span) subfield() (Subfield, error) {
	name, rng, ranged := a.cut("[")
	id, ok := subfieldNames[name.s]
	if !ok {
		return Subfield{}, name.errorf("want a field, such as NXM_NX_REG0")
	}
	if !ranged || rng.s == "]" {
		return Whole(id), nil
	}
	bits, tail, closed := rng.cut("]")
	if !closed || tail.s != "" {
		return Subfield{}, rng.errorf("want [], [bit] or [first..last]")
	}
	low, high, both := bits.cut("..")
	first, err := low.uint(16)
	if err != nil {
		return Subfield{}, err
	}
	last := first
	if both {
		if last, err = high.uint(16); err != nil {
			return Subfield{}, err
		}
	}
	if first > last || int(last) >= fields[id].sub {
		return Subfield{}, bits.errorf("%s has bits 0 to %d", name.s, fields[id].sub-1)
	}
	return BitRange(id, uint16(first), uint16(last)), nil
}

// arrow parses "source->destination".
func (a span) arrow() (src, dst span, err error) {
	src, dst, found := a.cut("->")
	if !found {
		return src, dst, a.errorf("want value->field")
	}
	return src, dst, nil
}
