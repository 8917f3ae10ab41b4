package compile_test

import (
	"fmt"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Each of our cookies is in exactly one slice, no other cookie is in a slice, and the slices
// have similar sizes.
func TestCookieSlices(t *testing.T) {
	const objects = 4096
	for _, halves := range []int{0, 1, 5, 6} {
		sizes := make([]int, 1<<halves)
		for i := range objects {
			c := compile.CookieOf(routing.Object{Kind: routing.KindPort, ID: fmt.Sprint("port", i), Interface: "i"}, compile.Role(1+i%24))
			found := 0
			for n := range sizes {
				cookie, mask := compile.CookieSlice(n, halves)
				if cookie&^mask != 0 {
					t.Fatalf("slice %d of %d has the cookie %v outside of the mask %v", n, len(sizes), cookie, mask)
				}
				if c&mask == cookie {
					found++
					sizes[n]++
				}
				if foreign := ofproto.Cookie(i); foreign&mask == cookie {
					t.Errorf("slice %d of %d has %v, which is not ours", n, len(sizes), foreign)
				}
			}
			if found != 1 {
				t.Errorf("cookie %v is in %d of %d slices, want 1", c, found, len(sizes))
			}
		}
		for n, size := range sizes {
			if mean := objects >> halves; size < mean/2 || size > 2*mean {
				t.Errorf("slice %d of %d has %d of %d cookies", n, len(sizes), size, objects)
			}
		}
	}
}
