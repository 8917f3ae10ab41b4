package sorted

import "iter"

// Diff returns pairs of elements of a and b with the same key, in order of
// keys. An element is nil if its set does not have the key. Diff skips equal
// elements only in chunks that a and b share. So the elements of a pair may be
// equal. If b was made from a by k changes, the cost is proportional to the
// size of k chunks and of the lists of chunks.
func Diff[E any, O Order[E]](a, b Set[E, O]) iter.Seq2[*E, *E] {
	return func(yield func(a, b *E) bool) {
		var o O
		for a, b := a.cursor(), b.cursor(); ; {
			x, y := a.at(), b.at()
			switch {
			case x == nil && y == nil:
				return
			case x == y: // the rest of the chunk is the same too
				a.skip()
				b.skip()
				continue
			case x != nil && y != nil:
				switch c := o.Compare(*x, *y); {
				case c < 0:
					y = nil
				case c > 0:
					x = nil
				}
			}
			if !yield(x, y) {
				return
			}
			if x != nil {
				a.next()
			}
			if y != nil {
				b.next()
			}
		}
	}
}

// A cursor is at an element of a Set, or behind the last element.
type cursor[E any] struct {
	chunks [][]E // remaining chunks, starting with the element's
	i      int   // index of the element in chunks[0]
}

func (s Set[E, O]) cursor() *cursor[E] { return &cursor[E]{chunks: s.chunks} }

// at returns the element, or nil behind the last element.
func (c *cursor[E]) at() *E {
	if len(c.chunks) == 0 {
		return nil
	}
	return &c.chunks[0][c.i]
}

func (c *cursor[E]) next() {
	if c.i++; c.i == len(c.chunks[0]) {
		c.skip()
	}
}

// skip moves to the next chunk.
func (c *cursor[E]) skip() { c.chunks, c.i = c.chunks[1:], 0 }
