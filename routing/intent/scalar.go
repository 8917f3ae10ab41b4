package intent

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// scalar returns a reader of strings that parse understands. Numbers and
// booleans are strings too, as they are written.
func scalar[T any](w *walker, dst *T, parse func(string) (T, error)) reader {
	return func(n *node, p *where) { *dst = item(w, parse)(n, p) }
}

// item is scalar for the items of a list.
func item[T any](w *walker, parse func(string) (T, error)) func(*node, *where) T {
	return func(n *node, p *where) (v T) {
		switch n.kind {
		case kindNull, kindList, kindMapping:
			w.bad(n, p, "want a string, got %v", n.kind)
			return v
		}
		if len(n.text) > maxText {
			w.bad(n, p, "the value has %d bytes, more than %d", len(n.text), maxText)
			return v
		}
		v, err := parse(n.text)
		if err != nil {
			w.bad(n, p, "%w", err)
		}
		return v
	}
}

// text reads a string, which may be empty.
func (w *walker) text(dst *string) reader {
	return scalar(w, dst, func(s string) (string, error) { return s, nil })
}

// name reads a string that is not empty.
func (w *walker) name(dst *string) reader {
	return scalar(w, dst, func(s string) (string, error) {
		if s == "" {
			return "", errors.New("the name is empty: leave the key out for the default")
		}
		return s, nil
	})
}

func (w *walker) boolean(dst *bool) reader {
	return func(n *node, p *where) {
		switch {
		case n.kind == kindBool:
			*dst = strings.EqualFold(n.text, "true")
		case n.kind == kindString:
			w.bad(n, p, "want true or false, got %s", quote(n.text))
		default:
			w.bad(n, p, "want true or false, got %v", n.kind)
		}
	}
}

// number reads a whole number called name from low to high.
func number[T ~int | ~uint16](w *walker, dst *T, name string, low, high int) reader {
	return func(n *node, p *where) {
		if n.kind != kindNumber {
			w.bad(n, p, "want a number, got %v", n.kind)
			return
		}
		digits := strings.TrimPrefix(n.text, "-")
		if strings.Trim(digits, "0123456789") != "" || len(digits) > 1 && digits[0] == '0' {
			w.bad(n, p, "want a whole number in decimal digits, got %s", clip(n.text))
			return
		}
		i, err := strconv.Atoi(n.text)
		if err != nil || i < low || i > high {
			w.bad(n, p, "%s %s is outside %d–%d", name, clip(n.text), low, high)
			return
		}
		*dst = T(i)
	}
}

func (w *walker) foreign(dst *routing.Foreign) reader {
	return scalar(w, dst, func(s string) (routing.Foreign, error) {
		switch s {
		case "remove":
			return routing.ForeignRemove, nil
		case "report":
			return routing.ForeignReport, nil
		case "ignore":
			return routing.ForeignIgnore, nil
		}
		return 0, fmt.Errorf("want remove, report or ignore, got %s", quote(s))
	})
}

func (w *walker) fallback(dst *routing.Fallback) reader {
	return scalar(w, dst, func(s string) (routing.Fallback, error) {
		switch s {
		case "namespace":
			return routing.FallbackNamespace, nil
		case "none":
			return routing.FallbackNone, nil
		}
		return 0, fmt.Errorf("want namespace or none, got %s", quote(s))
	})
}

func parseMAC(s string) (ofproto.MAC, error)   { return ofproto.ParseMAC(s) }
func parseDPID(s string) (ofproto.DPID, error) { return ofproto.ParseDPID(s) }

func parsePrefix(s string) (netip.Prefix, error) {
	v, err := netip.ParsePrefix(s)
	if err == nil {
		return v, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		example := a.String() + "/64"
		if a.Is4() {
			example = a.String() + "/24"
		}
		return v, fmt.Errorf("%q has no prefix length: want the router's address with its subnet's, like %s", s, example)
	}
	return v, fmt.Errorf("%q is not an address with a prefix length: want one like 10.0.1.1/24 or 2001:db8::1/64", s)
}

func parseAddr(s string) (netip.Addr, error) {
	v, err := netip.ParseAddr(s)
	if err == nil {
		return v, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return v, fmt.Errorf("%q has a prefix length: want the address alone, %v", s, p.Addr())
	}
	return v, fmt.Errorf("%q is not an address: want one like 10.0.1.10 or 2001:db8::10", s)
}

// clip shortens what a message quotes.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }

// closest returns the index of the field that key was probably meant to be,
// among those not seen; -1 if there is none.
func closest(fields []field, seen []*node, key string) int {
	if len(key) > 32 {
		return -1
	}
	best, found := 3, -1 // more than two slips are another word
	for i, f := range fields {
		if seen[i] != nil {
			continue
		}
		if d := distance(strings.ToLower(key), f.key); d < best && d < max(2, len(f.key)/2) {
			best, found = d, i
		}
	}
	return found
}

// distance returns the number of characters to insert, delete, replace or swap
// with the next to turn a into b (optimal string alignment).
func distance(a, b string) int {
	prev2, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}
