package sorted

import "iter"

// Diff returns, in order, what a and b have for each key: nil for a set that
// does not have it. It leaves out the chunks that a and b share, and only
// these, so that the two that it returns may well be equal. If b was made from
// a by k changes it takes time for k chunks and for the lists of chunks.
func Diff[E any, O Order[E]](a, b Set[E, O]) iter.Seq2[*E, *E] {
	return func(yield func(a, b *E) bool) {
		var o O
		for a, b := a.cursor(), b.cursor(); ; {
			x, y := a.at(), b.at()
			switch {
			case x == nil && y == nil:
				return
			case x == y: // so is the rest of the chunk
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

// A cursor stands at an element of a Set or behind the last one.
type cursor[E any] struct {
	chunks [][]E // from that of the element on
	i      int   // of the element in the first of chunks
}

func (s Set[E, O]) cursor() *cursor[E] { return &cursor[E]{chunks: s.chunks} }

// at returns the element, nil behind the last.
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

// skip goes on to the next chunk.
func (c *cursor[E]) skip() { c.chunks, c.i = c.chunks[1:], 0 }
