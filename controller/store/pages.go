package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its file. A damaged page can make it panic, even on its own goroutines, where the
// panic cannot be recovered. bbolt can also follow a cycle of pages for ever, or write to pages in
// use. Therefore this package checks every page before bbolt opens the file, and also reads the
// contents itself. The format is defined by bbolt's internal/common, version 2, in the byte order
// of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	metaLen    = 16 + 64 // page header and meta
	metaSumLen = 56      // bytes of the meta covered by its checksum
	headerLen  = 16      // header of a page: ID, flags, count, overflow
	elementLen = 16      // header of a leaf or branch element, before keys and values
	bucketLen  = 16      // header of a bucket's value, before an inline page

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	bucketElement = 0x01

	noFreelist  = ^uint64(0)
	maxDepth    = 64
	minPageSize = 1 << 10
	maxPageSize = 1 << 16
	// pageSize is the page size of files that we create, on all machines.
	pageSize = 4096
)

var order = binary.NativeEndian

// A pager reads a bbolt file and checks all of it.
type pager struct {
	r        io.ReaderAt
	pageSize int64
	high     uint64   // pages below it are in use or free
	root     uint64   // page of the root bucket
	freelist uint64   // page of the list of free pages, or noFreelist
	used     []uint64 // one bit for each page, set if the page is in use
	depths   [][]byte // a page at each depth of the tree

	// damaged is called with each error. If it returns an error, reading ends with that error.
	// If it returns nil, the damaged part is skipped.
	damaged func(error) error
}

// A meta is one of the two meta pages. The meta page with the higher transaction ID is valid.
type meta struct {
	pageSize                   uint32
	root, freelist, high, txid uint64
}

// openPages reads both meta pages. Both must be sound. If one were damaged, bbolt would use the
// other page, and a confirmed write could be lost. An interrupted write does not damage a meta
// page, because its 80 bytes are in one sector.
func openPages(r io.ReaderAt, size int64) (*pager, error) {
	head := make([]byte, pageSize+metaLen)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = head[:n]
	m0, err := parseMeta(head, 0)
	if err != nil {
		return nil, notBolt(head, err)
	}
	second := make([]byte, metaLen)
	if _, err := r.ReadAt(second, int64(m0.pageSize)); err != nil {
		return nil, ended(err, "the file ends before its second page")
	}
	m1, err := parseMeta(second, 1)
	if err != nil {
		return nil, err
	}
	m := m0
	if m1.txid > m0.txid {
		m = m1
	}
	p := &pager{r: r, pageSize: int64(m.pageSize), high: m.high, root: m.root, freelist: m.freelist}
	switch {
	case m0.pageSize != m1.pageSize:
		return nil, corrupt("the meta pages are for pages of %d and of %d bytes", m0.pageSize, m1.pageSize)
	case m.high < 4 || m.high > uint64(size)/uint64(m.pageSize):
		return nil, corrupt("the file has %d bytes, but should have at least %d pages of %d", size, m.high, m.pageSize)
	}
	p.used = make([]uint64, m.high/64+1)
	return p, nil
}

// parseMeta parses meta page id.
func parseMeta(b []byte, id uint64) (m meta, err error) {
	if len(b) < metaLen {
		return m, corrupt("meta page %d is cut off", id)
	}
	sum := fnv.New64a()
	sum.Write(b[headerLen : headerLen+metaSumLen])
	body := b[headerLen:]
	m = meta{pageSize: order.Uint32(body[8:]), root: order.Uint64(body[16:]), freelist: order.Uint64(body[32:]),
		high: order.Uint64(body[40:]), txid: order.Uint64(body[48:])}
	switch {
	case order.Uint32(body) != boltMagic:
		return m, corrupt("meta page %d does not have bbolt's magic number", id)
	case order.Uint64(body[metaSumLen:]) != sum.Sum64():
		return m, corrupt("meta page %d has a wrong checksum", id)
	case order.Uint32(body[4:]) != boltVersion:
		return m, fmt.Errorf("%w: unknown bbolt version %d", ErrForeign, order.Uint32(body[4:]))
	case order.Uint64(b) != id, order.Uint16(b[8:]) != metaPage:
		return m, corrupt("meta page %d has another page's header", id)
	case m.pageSize < minPageSize, m.pageSize > maxPageSize, m.pageSize&(m.pageSize-1) != 0:
		return m, corrupt("meta page %d is for pages of %d bytes", id, m.pageSize)
	}
	return m, nil
}

// notBolt returns the error for a file with the first bytes head. err is the error of the file's
// first meta page.
func notBolt(head []byte, err error) error {
	switch {
	case len(head) == 0:
		return corrupt("the file is empty; ofdvr never makes an empty file")
	case len(bytes.Trim(head, "\x00")) == 0:
		return corrupt("the file begins with zeros")
	case bytes.HasPrefix(head, []byte("SQLite format 3\x00")):
		return fmt.Errorf("%w: the file is an SQLite database", ErrForeign)
	}
	for _, at := range []int{headerLen, pageSize + headerLen} {
		if len(head) >= at+4 && order.Uint32(head[at:]) == boltMagic {
			return err
		}
	}
	return fmt.Errorf("%w: the file is not a bbolt database", ErrForeign)
}

// If err is the end of the file, ended returns an [ErrCorrupt] with the text what. Otherwise it
// returns err.
func ended(err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("%s", what)
	}
	return err
}

// page reads page id, with its overflow pages, and marks them as used. The result is valid
// until the next call for the same depth of the tree.
func (p *pager) page(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, corrupt("page %d is too deep in the tree", id)
	}
	if err := p.use(id, 1); err != nil {
		return nil, err
	}
	for len(p.depths) <= depth {
		p.depths = append(p.depths, make([]byte, p.pageSize))
	}
	b := p.depths[depth][:p.pageSize]
	if _, err := p.r.ReadAt(b, int64(id)*p.pageSize); err != nil {
		return nil, ended(err, "the file ends in its pages")
	}
	if order.Uint64(b) != id {
		return nil, corrupt("page %d is where page %d should be", order.Uint64(b), id)
	}
	more := uint64(order.Uint32(b[12:]))
	if more == 0 {
		return b, nil
	}
	if err := p.use(id+1, more); err != nil {
		return nil, err
	}
	whole := int64(more+1) * p.pageSize
	if int64(cap(b)) < whole {
		b = make([]byte, whole)
		p.depths[depth] = b
	}
	if _, err := p.r.ReadAt(b[:whole], int64(id)*p.pageSize); err != nil {
		return nil, ended(err, "the file ends in its pages")
	}
	return b[:whole], nil
}

// use marks pages as used.
func (p *pager) use(id, count uint64) error {
	if id < 2 || id >= p.high || count > p.high-id {
		return corrupt("page %d is not one of the %d pages", id+count-1, p.high)
	}
	for ; count > 0; id, count = id+1, count-1 {
		if p.inUse(id) {
			return corrupt("page %d is in use twice", id)
		}
		p.used[id/64] |= 1 << (id % 64)
	}
	return nil
}

func (p *pager) inUse(id uint64) bool { return p.used[id/64]&(1<<(id%64)) != 0 }

// checkFreelist checks the list of free pages, after all other pages have been read. If a used
// page is in the list, bbolt would overwrite it.
func (p *pager) checkFreelist() error {
	if p.freelist == noFreelist {
		return nil
	}
	b, err := p.page(p.freelist, 0)
	if err != nil {
		return p.damaged(fmt.Errorf("free pages: %w", err))
	}
	if order.Uint16(b[8:]) != freelistPage {
		return p.damaged(corrupt("page %d is not the list of free pages", p.freelist))
	}
	count := uint64(order.Uint16(b[10:]))
	ids := b[headerLen:]
	if count == 0xFFFF { // the real count is in the place of the first ID
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return p.damaged(corrupt("the list of free pages has a wrong length, %d", count))
	}
	for ids = ids[:count*8]; len(ids) > 0; ids = ids[8:] {
		if err := p.use(order.Uint64(ids), 1); err != nil {
			if err := p.damaged(fmt.Errorf("free pages: %w", err)); err != nil {
				return err
			}
		}
	}
	return nil
}
