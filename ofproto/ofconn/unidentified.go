package ofconn

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// An unidentified peer may be any program, and thousands of them may connect. Until
// [Conn.Identified] is called, a connection with [Config.Unidentified] uses a small buffer and
// drops longer messages. It does not drop long port descriptions, but delivers them in pieces.

const (
	smallBufferSize = 1 << 12
	multipartLen    = 16 // header of a multipart message
	portDescLen     = 64 // struct ofp_port
	moreFlag        = 1  // OFPMPF_REPLY_MORE
)

// Identified ends the limits of [Config.Unidentified].
func (c *Conn) Identified() { c.identified.Store(true) }

// newReader returns the reader of a new connection.
func (c *Conn) newReader() *bufio.Reader {
	if c.identified.Load() {
		return bufio.NewReaderSize(c.nc, readBufferSize)
	}
	return bufio.NewReaderSize(c.nc, smallBufferSize)
}

// grown returns a reader for messages of any length. It continues at the position of r.
func (c *Conn) grown(r *bufio.Reader) *bufio.Reader {
	rest, _ := r.Peek(r.Buffered())
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(slices.Clone(rest)), c.nc), readBufferSize)
}

// skim reads a message that is longer than r's buffer. It passes port descriptions to process in
// pieces. Instead of any other message, it passes nil.
func (c *Conn) skim(r *bufio.Reader, h ofproto.Header, process func(h ofproto.Header, b []byte) error) error {
	head, err := r.Peek(multipartLen)
	if err != nil {
		return readError(err)
	}
	if !isPortDesc(head) {
		if _, err := r.Discard(int(h.Length)); err != nil {
			return readError(err)
		}
		return process(h, nil)
	}
	piece := make([]byte, multipartLen, multipartLen+smallBufferSize)
	copy(piece, head)
	flags := binary.BigEndian.Uint16(piece[10:])
	r.Discard(multipartLen)
	for rest := int(h.Length) - multipartLen; rest > 0; {
		n := min(rest, smallBufferSize/portDescLen*portDescLen)
		b, err := r.Peek(n)
		if err != nil {
			return readError(err)
		}
		rest -= n
		piece = append(piece[:multipartLen], b...)
		binary.BigEndian.PutUint16(piece[2:], uint16(len(piece)))
		if binary.BigEndian.PutUint16(piece[10:], flags); rest > 0 {
			binary.BigEndian.PutUint16(piece[10:], flags|moreFlag)
		}
		if err := process(h, piece); err != nil {
			return err
		}
		r.Discard(n)
	}
	return nil
}

// isPortDesc reports whether head is the start of a port description.
func isPortDesc(head []byte) bool {
	empty := slices.Clone(head)
	binary.BigEndian.PutUint16(empty[2:], multipartLen)
	m, err := ofproto.Decode(empty)
	if err != nil {
		return false
	}
	mp, _ := m.(ofproto.Multipart)
	_, ok := mp.Body.(ofproto.PortDescReply)
	return ok
}
