// Package sorted provides an immutable sorted set. A new version shares all unchanged parts
// with the old version. The difference between two versions is found without visiting the
// shared parts.
package sorted

import (
	"iter"
	"slices"
)

// An Order defines the order of elements. If Compare returns 0, two elements have the same key.
// Compare must not depend on the value of its receiver, so that the zero Set has an order.
type Order[E any] interface {
	Compare(a, b E) int
}

// A Set has at most one element for each key, in the order of O. The zero Set is empty. A Set is
// immutable, and all data that its elements refer to must be immutable too.
//
// In a Set of n elements, k changes copy at most about k chunks, and the list of all n/maxChunk to
// n/minChunk chunks. A look-up takes O(log n).
type Set[E any, O Order[E]] struct {
	// Chunks are not empty and are never modified. If chunks has several, each has minChunk to
	// maxChunk elements.
	chunks [][]E
	n      int
}

// Larger chunks make changes more expensive. Smaller chunks make the list of chunks longer.
const (
	maxChunk = 256
	minChunk = maxChunk / 4 // less than half of maxChunk, so that chunks are not joined soon after a split
)

// Of returns the set of es. If elements have the same key, the last one wins.
func Of[E any, O Order[E]](es []E) Set[E, O] {
	var b builder[E, O]
	b.add(unique[E, O](es))
	return b.set()
}

// unique returns es sorted. If several elements have the same key, it returns only the last of
// them. It may return es itself.
func unique[E any, O Order[E]](es []E) []E {
	var o O
	ascending := true
	for i := 1; i < len(es) && ascending; i++ {
		ascending = o.Compare(es[i-1], es[i]) < 0
	}
	if ascending {
		return es
	}
	order := make([]int, len(es)) // several times faster than a stable sort of es
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if c := o.Compare(es[i], es[j]); c != 0 {
			return c
		}
		return i - j
	})
	out := make([]E, 0, len(es))
	for n, i := range order {
		if n+1 < len(order) && o.Compare(es[i], es[order[n+1]]) == 0 {
			continue
		}
		out = append(out, es[i])
	}
	return out
}

// Len returns the number of elements.
func (s Set[E, O]) Len() int { return s.n }

// All returns the elements in order.
func (s Set[E, O]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, c := range s.chunks {
			for _, e := range c {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// From returns, in order, the elements that are not less than key.
func (s Set[E, O]) From(key E) iter.Seq[E] {
	return func(yield func(E) bool) {
		if s.n == 0 {
			return
		}
		var o O
		n := s.chunkOf(key)
		i, _ := slices.BinarySearchFunc(s.chunks[n], key, o.Compare)
		for _, c := range s.chunks[n:] {
			for _, e := range c[i:] {
				if !yield(e) {
					return
				}
			}
			i = 0
		}
	}
}

// Get returns the element with the same key as key.
func (s Set[E, O]) Get(key E) (e E, ok bool) {
	if s.n == 0 {
		return e, false
	}
	var o O
	c := s.chunks[s.chunkOf(key)]
	i, ok := slices.BinarySearchFunc(c, key, o.Compare)
	if !ok {
		return e, false
	}
	return c[i], true
}

// chunkOf returns the index of the chunk that contains key, or would contain it. s must not be
// empty.
func (s Set[E, O]) chunkOf(key E) int {
	var o O
	i, ok := slices.BinarySearchFunc(s.chunks, key, func(c []E, key E) int { return o.Compare(c[0], key) })
	if ok {
		return i
	}
	return max(0, i-1)
}

// With returns s with es added. An element of es replaces the element of s with the same key. If
// elements of es have the same key, the last one wins.
func (s Set[E, O]) With(es ...E) Set[E, O] { return s.rebuild(es, union[E, O]) }

// Without returns s without the elements that have the keys of keys.
func (s Set[E, O]) Without(keys ...E) Set[E, O] { return s.rebuild(keys, minus[E, O]) }

// Keep returns the elements of s for which keep returns true.
func (s Set[E, O]) Keep(keep func(E) bool) Set[E, O] {
	var b builder[E, O]
	for i, c := range s.chunks {
		first := slices.IndexFunc(c, func(e E) bool { return !keep(e) })
		if first < 0 {
			b.share(s.chunks[i : i+1])
			continue
		}
		kept := slices.Clone(c[:first])
		for _, e := range c[first+1:] {
			if keep(e) {
				kept = append(kept, e)
			}
		}
		b.add(kept)
	}
	return b.set()
}

// rebuild returns s with changes applied by combine. combine applies changes to a chunk, which may
// be empty, and appends the result to dst.
func (s Set[E, O]) rebuild(changes []E, combine func(dst, chunk, changes []E) []E) Set[E, O] {
	if len(changes) == 0 {
		return s
	}
	changes = unique[E, O](changes)
	if s.n == 0 {
		var b builder[E, O]
		b.add(combine(nil, nil, changes))
		return b.set()
	}
	var o O
	b := builder[E, O]{chunks: make([][]E, 0, len(s.chunks)+1)}
	next := 0 // the first chunk that is not in b yet
	var buf []E
	for len(changes) > 0 {
		i, n := s.chunkOf(changes[0]), len(changes)
		if i+1 < len(s.chunks) {
			n, _ = slices.BinarySearchFunc(changes, s.chunks[i+1][0], o.Compare)
		}
		b.share(s.chunks[next:i])
		buf = combine(buf[:0], s.chunks[i], changes[:n])
		b.add(buf)
		next, changes = i+1, changes[n:]
	}
	b.share(s.chunks[next:])
	return b.set()
}

// union appends to dst the elements of a and b, both sorted. If both have an element with the
// same key, the element of b wins.
func union[E any, O Order[E]](dst, a, b []E) []E {
	var o O
	dst = slices.Grow(dst, len(a)+len(b))
	for _, e := range b {
		i, ok := slices.BinarySearchFunc(a, e, o.Compare)
		dst = append(append(dst, a[:i]...), e)
		if ok {
			i++
		}
		a = a[i:]
	}
	return append(dst, a...)
}

// minus appends to dst the elements of a with keys that are not in b. a and b must be sorted.
func minus[E any, O Order[E]](dst, a, b []E) []E {
	var o O
	dst = slices.Grow(dst, len(a))
	for _, e := range b {
		i, ok := slices.BinarySearchFunc(a, e, o.Compare)
		dst = append(dst, a[:i]...)
		if ok {
			i++
		}
		a = a[i:]
	}
	return append(dst, a...)
}

// A builder builds a Set from its elements in order.
type builder[E any, O Order[E]] struct {
	chunks [][]E
	rest   []E // too few elements for a chunk
}

// share adds chunks of another Set without copying, if rest is empty.
func (b *builder[E, O]) share(chunks [][]E) {
	for len(b.rest) > 0 && len(chunks) > 0 {
		b.add(chunks[0])
		chunks = chunks[1:]
	}
	b.chunks = append(b.chunks, chunks...)
}

// add adds copies of elements.
func (b *builder[E, O]) add(es []E) {
	if len(b.rest) > 0 {
		es = append(b.rest, es...)
	}
	if b.rest = nil; len(es) < minChunk {
		b.rest = slices.Clone(es)
		return
	}
	b.split(es)
}

// split adds copies of es in chunks of about equal length.
func (b *builder[E, O]) split(es []E) {
	for parts := (len(es) + maxChunk - 1) / maxChunk; parts > 0; parts-- {
		n := len(es) / parts
		b.chunks = append(b.chunks, slices.Clone(es[:n]))
		es = es[n:]
	}
}

func (b *builder[E, O]) set() Set[E, O] {
	if last := len(b.chunks) - 1; len(b.rest) > 0 && last >= 0 {
		b.rest = slices.Concat(b.chunks[last], b.rest)
		b.chunks = b.chunks[:last]
	}
	b.split(b.rest)
	s := Set[E, O]{chunks: b.chunks}
	for _, c := range s.chunks {
		s.n += len(c)
	}
	return s
}
