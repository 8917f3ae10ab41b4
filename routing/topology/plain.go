package topology

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isPlainText reports whether b needs no quotes to be a string in YAML 1.2 and 1.1. It accepts
// only letters, digits and _ . / -; other text, such as addresses with colons, is always
// quoted.
func isPlainText(b []byte) bool {
	if len(b) == 0 || b[0] == '-' || b[0] == '.' {
		return false
	}
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '/', c == '-':
			i++
		case c < utf8.RuneSelf:
			return false
		default:
			r, size := utf8.DecodeRune(b[i:])
			if !unicode.IsLetter(r) {
				return false
			}
			i += size
		}
	}
	return !isLikeNumber(b) && !isWord(b)
}

// isWord reports whether b is null or a boolean in YAML 1.1 or 1.2.
func isWord(b []byte) bool {
	if len(b) > len("false") {
		return false
	}
	switch strings.ToLower(string(b)) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return true
	}
	return false
}

// isLikeNumber reports whether b, which must not begin with a sign or a dot, could be a number
// or a date in YAML 1.1 or 1.2.
func isLikeNumber(b []byte) bool {
	digits := func() {
		for len(b) > 0 && ('0' <= b[0] && b[0] <= '9' || b[0] == '_') {
			b = b[1:]
		}
	}
	next := func(set string) bool {
		if len(b) == 0 || strings.IndexByte(set, b[0]) < 0 {
			return false
		}
		b = b[1:]
		return true
	}
	all := len(b)
	switch digits(); {
	case len(b) == all:
		return false
	case all-len(b) == 4 && next("-"): // 2001-12-14
		return true
	case all-len(b) == 1 && next("xXoObB"): // 0x1F
		return true
	}
	if next(".") {
		digits()
	}
	if next("eE") {
		next("-")
		digits()
	}
	return len(b) == 0
}
