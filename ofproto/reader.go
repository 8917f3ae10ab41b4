package ofproto

import "strings"

// A reader decodes bytes from the wire. It becomes bad if a caller reads beyond the end, or if
// bytes are nonzero where zeros are required. Values read from a bad reader are undefined, so
// callers must check it once, at the end.
type reader struct {
	s   string
	bad bool
}

// take returns the next n bytes.
func (r *reader) take(n int) string {
	if n < 0 || n > len(r.s) {
		r.bad = true
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *reader) u8() uint8 {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if s := r.take(2); s != "" {
		return uint16(s[0])<<8 | uint16(s[1])
	}
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.u16())<<16 | uint32(r.u16()) }
func (r *reader) u64() uint64 { return uint64(r.u32())<<32 | uint64(r.u32()) }

// zeros skips n bytes, which must be zero.
func (r *reader) zeros(n int) {
	if strings.Trim(r.take(n), "\x00") != "" {
		r.bad = true
	}
}

// need makes the reader bad unless ok is true.
func (r *reader) need(ok bool) { r.bad = r.bad || !ok }

// end reports whether no error occurred and only zeros are left.
func (r *reader) end() bool {
	r.zeros(len(r.s))
	return !r.bad
}
