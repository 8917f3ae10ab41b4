package sorted_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// Exchange has the same result as Without followed by With, and shares all unchanged chunks.
func TestExchange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sorted.Of[entry, byKey](drawEntries(t))
		out, in := drawEntries(t), drawEntries(t)
		got, want := sorted.Exchange(s, out, in), s.Without(out...).With(in...)
		if !slices.Equal(slices.Collect(got.All()), slices.Collect(want.All())) {
			t.Fatalf("got %v, want %v", slices.Collect(got.All()), slices.Collect(want.All()))
		}
		all := slices.Collect(s.All())
		if n := sorted.Unshared(s, sorted.Exchange(s, all, all)); n > 0 {
			t.Errorf("%d chunks copied although nothing changes", n)
		}
	})
}
