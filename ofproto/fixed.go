package ofproto

import (
	"bytes"
	"encoding/binary"
)

// Rare messages of fixed layout are structs with the same layout. Blank fields stand for padding.

// appendFixed appends the fields of v, which is a struct or a pointer to a struct.
func appendFixed(b []byte, v any) []byte {
	b, err := binary.Append(b, binary.BigEndian, v)
	if err != nil {
		panic("ofproto: " + err.Error()) // v has no fixed layout, which is a bug in this package
	}
	return b
}

// decodeFixed decodes the start of b into the struct that v points to, and returns
// the rest of b.
func decodeFixed(what string, b []byte, v any) (rest []byte, err error) {
	n, err := binary.Decode(b, binary.BigEndian, v)
	if err != nil {
		return nil, shortError(what, len(b), binary.Size(v))
	}
	return b[n:], nil
}

// text returns the NUL-terminated string at the start of b.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// appendText appends s, truncated or padded to n bytes. The last byte is NUL.
func appendText(b []byte, s string, n int) []byte {
	s = s[:min(len(s), n-1)]
	b = append(b, s...)
	return append(b, make([]byte, n-len(s))...)
}
