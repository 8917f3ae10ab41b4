package ofproto

import (
	"bytes"
	"encoding/binary"
)

// The messages of fixed layout that are not sent by the thousand are structs
// whose fields, blank ones for padding included, are the bytes on the wire.

// appendFixed appends the fields of v, a struct or a pointer to one.
func appendFixed(b []byte, v any) []byte {
	b, err := binary.Append(b, binary.BigEndian, v)
	if err != nil {
		panic("ofproto: " + err.Error()) // v is of no fixed layout: a bug in this package
	}
	return b
}

// decodeFixed sets the fields of the struct that v points to, and returns what
// follows them in b.
func decodeFixed(what string, b []byte, v any) (rest []byte, err error) {
	n, err := binary.Decode(b, binary.BigEndian, v)
	if err != nil {
		return nil, shortError(what, len(b), binary.Size(v))
	}
	return b[n:], nil
}

// text returns a NUL-terminated string.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// appendText appends s, cut and padded to n bytes of which the last is NUL.
func appendText(b []byte, s string, n int) []byte {
	s = s[:min(len(s), n-1)]
	b = append(b, s...)
	return append(b, make([]byte, n-len(s))...)
}
