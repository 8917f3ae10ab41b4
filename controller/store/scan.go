package store

import (
	"fmt"
	"io"
)

// A header is a store's metadata.
type header struct {
	version int
	summary summary
	raw     string // the summary record in the file
}

// A scan reads a store, and checks all of it.
type scan struct {
	// If found is not nil, it is called for each object, sorted by kind and then ID. The key
	// and the text are valid during the call only.
	found func(k kind, key, text []byte) error
	// If begin is not nil, it is called before the first object.
	begin func(header)
	// damaged is called with each error. If it returns an error, the scan ends with that
	// error. If damaged is nil, the scan ends with the first error.
	damaged func(error) error
}

// read reads the store in r, which has size bytes, and verifies all checksums and counts. If
// the store has an older version, read checks only the structure of the bbolt database.
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
		return h, fmt.Errorf("%w: it is a bbolt database without ofdvr's format mark", ErrForeign)
	}
	if h.version, err = parseFormat(format); err != nil {
		return h, err
	}
	if h.version > schemaVersion {
		return h, fmt.Errorf("%w: its schema version is %d, but this ofdvr supports versions up to %d", ErrNewer, h.version, schemaVersion)
	}
	if h.version == schemaVersion {
		h.raw = string(values[summaryKey])
		h.summary, err = parseSummary(values[summaryKey])
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

// objects reads the buckets of objects. Any other bucket is an error.
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
		if err := s.bucket(p, b, k, *h.summary.of(k)); err != nil {
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

// bucket reads the objects of kind k in b, and compares their tally with the expected tally.
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
		err = s.damaged(corrupt("%v: %d sound objects with a sum of checksums of %d; want %d with %d",
			k, have.Count, have.Sum, want.Count, want.Sum))
	}
	return err
}
