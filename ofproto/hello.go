package ofproto

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A Hello opens a connection and lists the versions of the protocol that its
// sender supports (OFPT_HELLO, OpenFlow 1.3.5 §7.5.1).
type Hello struct {
	Version uint8  // version in the header, the highest supported version
	Bitmap  uint32 // bit n means version n; 0 if the sender sent no bitmap
}

// Hello13 returns the Hello that offers OpenFlow 1.3 and nothing else.
func Hello13() Hello { return Hello{Version: version13, Bitmap: 1 << version13} }

// Speaks13 reports whether a peer that sent m and a peer that offers only OpenFlow 1.3 negotiate
// OpenFlow 1.3. If both send a bitmap, the bitmaps decide. Otherwise the smaller version is used
// (§6.3.1).
func (m Hello) Speaks13() bool {
	if m.Bitmap != 0 {
		return m.Bitmap&(1<<version13) != 0
	}
	return m.Version >= version13
}

// String lists the versions that the peer offers, such as "1.0, 1.3".
func (m Hello) String() string {
	if m.Bitmap == 0 {
		return "up to " + versionName(m.Version)
	}
	var names []string
	for v := range uint8(32) {
		if m.Bitmap&(1<<v) != 0 {
			names = append(names, versionName(v))
		}
	}
	return strings.Join(names, ", ")
}

func versionName(v uint8) string {
	if v >= 1 && v <= 6 {
		return fmt.Sprintf("1.%d", v-1)
	}
	return fmt.Sprintf("version %#x", v)
}

// Append implements [Message].
func (m Hello) Append(b []byte, xid uint32) []byte {
	n := HeaderLen
	if m.Bitmap != 0 {
		n += 8
	}
	start := len(b)
	b = appendHeader(b, typeHello, n, xid)
	b[start] = m.Version
	if m.Bitmap != 0 {
		b = append(b, 0, 1, 0, 8) // OFPHET_VERSIONBITMAP
		b = binary.BigEndian.AppendUint32(b, m.Bitmap)
	}
	return b
}

// decodeHello decodes the first version bitmap. It ignores unknown and malformed
// elements, as the specification requires.
func decodeHello(version uint8, b []byte) Hello {
	m := Hello{Version: version}
	for len(b) >= 4 {
		typ, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			break
		}
		if typ == 1 && n >= 8 {
			m.Bitmap = binary.BigEndian.Uint32(b[4:])
			break
		}
		b = b[min(pad8(n), len(b)):]
	}
	return m
}
