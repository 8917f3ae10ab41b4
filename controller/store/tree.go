package store

import "bytes"

// An element is the entry of a bucket for one key.
type element struct {
	key, value []byte
	bucket     bool // the value is a bucket
}

// copy returns a copy of e that stays valid.
func (e element) copy() element {
	return element{bytes.Clone(e.key), bytes.Clone(e.value), e.bucket}
}

// buckets returns the elements of the root bucket, sorted by key.
func (p *pager) buckets() (all []element, err error) {
	err = p.tree(p.root, nil, nil, 0, func(e element) error {
		all = append(all, e.copy())
		return nil
	})
	return all, err
}

// bucket calls visit for each element of the bucket b, sorted by key. An element is valid
// during the call only.
func (p *pager) bucket(b element, visit func(element) error) error {
	if !b.bucket || len(b.value) < bucketLen {
		return p.damaged(corrupt("%q is not a bucket", b.key))
	}
	if root := order.Uint64(b.value); root != 0 {
		return p.tree(root, nil, nil, 0, visit)
	}
	inline := b.value[bucketLen:]
	if len(inline) < headerLen || order.Uint64(inline) != 0 || order.Uint16(inline[8:]) != leafPage || order.Uint32(inline[12:]) != 0 {
		return p.damaged(corrupt("bucket %q has no sound page", b.key))
	}
	return p.leaf(inline, nil, nil, visit)
}

// tree visits the elements in page id and in the pages below it. first is the page's key in the
// parent page, or nil. The page must begin with it, because bbolt uses the key to find the parent.
// All keys must be less than high, unless high is nil.
func (p *pager) tree(id uint64, first, high []byte, depth int, visit func(element) error) error {
	b, err := p.page(id, depth)
	if err != nil {
		return p.damaged(err)
	}
	count := int(order.Uint16(b[10:]))
	switch flags := order.Uint16(b[8:]); {
	case count == 0 && (flags != leafPage || depth > 0):
		return p.damaged(corrupt("page %d is empty", id))
	case flags == leafPage:
		return p.leaf(b, first, high, visit)
	case flags != branchPage:
		return p.damaged(corrupt("page %d is of a wrong type, %#x", id, flags))
	}
	if headerLen+count*elementLen > len(b) {
		return p.damaged(corrupt("page %d has %d elements and no room for them", id, count))
	}
	for i := range count {
		at := headerLen + i*elementLen
		key, ok := span(b, at, order.Uint32(b[at:]), order.Uint32(b[at+4:]))
		below := high
		if i+1 < count && ok {
			next := at + elementLen
			below, ok = span(b, next, order.Uint32(b[next:]), order.Uint32(b[next+4:]))
		}
		if !ok || i == 0 && !begins(key, first) || !within(key, high) || !within(key, below) {
			return p.damaged(corrupt("page %d: element %d has a wrong key", id, i))
		}
		if err := p.tree(order.Uint64(b[at+8:]), key, below, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// leaf visits the elements of the leaf page b.
func (p *pager) leaf(b, first, high []byte, visit func(element) error) error {
	id, count := order.Uint64(b), int(order.Uint16(b[10:]))
	if headerLen+count*elementLen > len(b) {
		return p.damaged(corrupt("page %d has %d elements and no room for them", id, count))
	}
	var last []byte
	for i := range count {
		at := headerLen + i*elementLen
		flags, pos, keyLen, valueLen := order.Uint32(b[at:]), order.Uint32(b[at+4:]), order.Uint32(b[at+8:]), order.Uint32(b[at+12:])
		key, ok := span(b, at, pos, keyLen)
		value, whole := span(b, at, pos+keyLen, valueLen)
		if !ok || !whole || i == 0 && !begins(key, first) || !within(key, high) || bytes.Compare(last, key) >= 0 || flags&^bucketElement != 0 {
			if err := p.damaged(corrupt("page %d: element %d is not sound", id, i)); err != nil {
				return err
			}
			continue
		}
		last = key
		if err := visit(element{key, value, flags == bucketElement}); err != nil {
			return err
		}
	}
	return nil
}

// span returns n bytes of page b, starting pos bytes after at.
func span(b []byte, at int, pos, n uint32) ([]byte, bool) {
	start, end := uint64(at)+uint64(pos), uint64(at)+uint64(pos)+uint64(n)
	if end > uint64(len(b)) {
		return nil, false
	}
	return b[start:end:end], true
}

// within reports whether key is less than high and is not empty.
func within(key, high []byte) bool {
	return len(key) > 0 && (high == nil || bytes.Compare(key, high) < 0)
}

// begins reports whether key may be the first key of a page. first is the page's key in the parent
// page.
func begins(key, first []byte) bool { return first == nil || bytes.Equal(key, first) }
