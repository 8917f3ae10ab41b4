package ofconn

import "sync/atomic"

// A Budget is the memory that all peers together may take for what they tell of and nobody
// wants: a peer that claims many bridges costs no more than one. nil has no bounds.
type Budget struct {
	left  atomic.Int64
	short func(bridge string)
}

// NewBudget returns a Budget of so many bytes. short is called, from any goroutine, once for
// each [Share] that does not get what it asks for; nil: it is not told.
func NewBudget(bytes int, short func(bridge string)) *Budget {
	b := &Budget{short: short}
	b.left.Store(int64(bytes))
	return b
}

// Share returns a share, of nothing yet, for what a bridge tells of.
func (b *Budget) Share(bridge string) *Share {
	if b == nil {
		return nil
	}
	return &Share{of: b, bridge: bridge}
}

// A Share is what one reading of a bridge has taken of a [Budget]. nil has no bounds.
type Share struct {
	of     *Budget
	bridge string
	held   atomic.Int64
	told   atomic.Bool // that there was not enough
}

// Take takes n bytes more, and reports whether they were there.
func (s *Share) Take(n int) bool {
	if s == nil {
		return true
	}
	if s.of.left.Add(int64(-n)) >= 0 {
		s.held.Add(int64(n))
		return true
	}
	s.of.left.Add(int64(n))
	if !s.told.Swap(true) && s.of.short != nil {
		s.of.short(s.bridge)
	}
	return false
}

// Give gives n bytes back.
func (s *Share) Give(n int) {
	if s != nil {
		s.held.Add(int64(-n))
		s.of.left.Add(int64(n))
	}
}

// Free gives back all that was taken.
func (s *Share) Free() {
	if s != nil {
		s.of.left.Add(s.held.Swap(0))
		s.told.Store(false)
	}
}
