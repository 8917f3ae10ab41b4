package ofconn

import "sync/atomic"

// A Budget limits the memory for data that the controller does not need. The limit applies to
// all peers together. Therefore a peer that claims many bridges costs no more than a peer that
// claims one. A nil Budget is unlimited.
type Budget struct {
	left  atomic.Int64
	short func(bridge string)
}

// NewBudget returns a Budget of the given number of bytes. If short is not nil, it is called when a
// request of a [Share] is refused, once for each Share, on any goroutine.
func NewBudget(bytes int, short func(bridge string)) *Budget {
	b := &Budget{short: short}
	b.left.Store(int64(bytes))
	return b
}

// Share returns an empty share for data about a bridge.
func (b *Budget) Share(bridge string) *Share {
	if b == nil {
		return nil
	}
	return &Share{of: b, bridge: bridge}
}

// A Share is the part of a [Budget] that the data about one bridge uses. A nil
// Share is unlimited.
type Share struct {
	of       *Budget
	bridge   string
	held     atomic.Int64
	reported atomic.Bool // a refused request was reported
}

// Take reserves n more bytes, and reports whether the budget had them.
func (s *Share) Take(n int) bool {
	if s == nil {
		return true
	}
	if s.of.left.Add(int64(-n)) >= 0 {
		s.held.Add(int64(n))
		return true
	}
	s.of.left.Add(int64(n))
	if !s.reported.Swap(true) && s.of.short != nil {
		s.of.short(s.bridge)
	}
	return false
}

// Give returns n reserved bytes to the budget.
func (s *Share) Give(n int) {
	if s != nil {
		s.held.Add(int64(-n))
		s.of.left.Add(int64(n))
	}
}

// Free returns all reserved bytes to the budget.
func (s *Share) Free() {
	if s != nil {
		s.of.left.Add(s.held.Swap(0))
		s.reported.Store(false)
	}
}
