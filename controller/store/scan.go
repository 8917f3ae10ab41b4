package store

import (
	"fmt"
	"io"
)

// A header is what a store says of itself.
type header struct {
	version int
	state   state
	raw     string // the state as it is in the file
}

// A scan reads a store, and checks all of it.
type scan struct {
	// found is called for each object, in the order of kinds and in each by ID,
	// if it is not nil. key and text are valid during the call only.
	found func(k kind, key, text []byte) error
	// begin is called before the first object, if it is not nil.
	begin func(header)
	// damaged is told each thing that is wrong. What it returns ends the scan.
	// If it is nil, the first thing ends it.
	damaged func(error) error
}

// read reads the store in r, of size bytes, and compares everything that a
// checksum or a count says with what is there. Of a store of an older version it
// checks just that bbolt can work with it.
func (s scan) read(r io.ReaderAt, size int64) (h header, err error) {
	if s.damaged == nil {
		s.damaged = func(err error) error { return err }
	}
	p, err := openPages(r, size)
	if err != nil {
		return h, err
	}
	p.damaged = s.damaged
	buckets, err := p.buckets()
	if err != nil {
		return h, err
	}
	var meta *element
	var rest []element
	for _, b := range buckets {
		if string(b.key) == metaBucket {
			meta = &b
		} else {
			rest = append(rest, b)
		}
	}
	if meta == nil {
		return h, fmt.Errorf("%w: it is a bbolt database without a bucket called %s", ErrForeign, metaBucket)
	}
	if h, err = readHeader(p, *meta); err != nil {
		return h, err
	}
	if h.version < schemaVersion {
		err = s.structure(p, rest)
	} else {
		err = s.objects(p, h, rest)
	}
	if err != nil {
		return h, err
	}
	return h, p.checkFreelist()
}

// readHeader reads bucket meta.
func readHeader(p *pager, meta element) (h header, err error) {
	values := make(map[string][]byte)
	err = p.bucket(meta, func(e element) error {
		if e = e.copy(); e.bucket {
			return corrupt("%q is a bucket", e.key)
		}
		values[string(e.key)] = e.value
		return nil
	})
	if err != nil {
		return h, err
	}
	format, ok := values[formatKey]
	if !ok {
		return h, fmt.Errorf("%w: it is a bbolt database that does not say so", ErrForeign)
	}
	if h.version, err = parseFormat(format); err != nil {
		return h, err
	}
	if h.version > schemaVersion {
		return h, fmt.Errorf("%w: its schema version is %d, and this one knows versions up to %d", ErrNewer, h.version, schemaVersion)
	}
	if h.version == schemaVersion {
		h.raw = string(values[stateKey])
		h.state, err = parseState(values[stateKey])
	}
	return h, err
}

// structure reads all buckets.
func (s scan) structure(p *pager, buckets []element) error {
	for _, b := range buckets {
		if err := p.bucket(b, func(element) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// objects reads the buckets of objects, which must be those.
func (s scan) objects(p *pager, h header, buckets []element) error {
	if s.begin != nil {
		s.begin(h)
	}
	byName := make(map[string]element)
	for _, b := range buckets {
		byName[string(b.key)] = b
	}
	for k := range kinds {
		b, ok := byName[k.String()]
		if !ok {
			if err := s.damaged(corrupt("there is no bucket called %v", k)); err != nil {
				return err
			}
			continue
		}
		delete(byName, k.String())
		if err := s.bucket(p, b, k, *h.state.of(k)); err != nil {
			return err
		}
	}
	for name := range byName {
		if err := s.damaged(corrupt("there is a bucket called %q", name)); err != nil {
			return err
		}
	}
	return nil
}

// bucket reads the objects of kind k in b, which should come to want.
func (s scan) bucket(p *pager, b element, k kind, want tally) error {
	seal := sealOf(k.String())
	var have tally
	err := p.bucket(b, func(e element) error {
		text, sum, err := seal.open(e.key, e.value)
		if err == nil && e.bucket {
			err = corrupt("it is a bucket")
		}
		if err == nil {
			have.add(sum)
			if s.found == nil {
				return nil
			}
			err = s.found(k, e.key, text)
		}
		if err != nil {
			return s.damaged(fmt.Errorf("%v: %q: %w", k, e.key, err))
		}
		return nil
	})
	if err == nil && have != want {
		err = s.damaged(corrupt("%v: there are %d sound ones, the sum of their checksums is %d; it should be %d and %d",
			k, have.Count, have.Sum, want.Count, want.Sum))
	}
	return err
}
