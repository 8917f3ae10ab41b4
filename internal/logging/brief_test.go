package logging

import "testing"

func TestBrief(t *testing.T) {
	for _, tt := range []struct {
		what []string
		want string
	}{
		{nil, ""},
		{[]string{"a", "b", "c", "d"}, "a, b, c, d"},
		{[]string{"a", "b", "c", "d", "e"}, "a, b, c, d, e"}, // "and 1 more" would not be shorter
		{[]string{"a", "b", "c", "d", "e", "f"}, "a, b, c, d and 2 more"},
	} {
		if got := Brief(tt.what); got != tt.want {
			t.Errorf("Brief(%q) = %q, want %q", tt.what, got, tt.want)
		}
	}
}
