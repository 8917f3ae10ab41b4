package sorted

// Exchange returns s without the elements with the keys of out, and with the elements in. Its cost
// depends only on the number of these elements.
func Exchange[E comparable, O Order[E]](s Set[E, O], out, in []E) Set[E, O] {
	if len(out) == 0 || len(in) == 0 {
		return s.Without(out...).With(in...)
	}
	var changed []E
	for e := range Of[E, O](in).All() {
		if old, ok := s.Get(e); !ok || old != e {
			changed = append(changed, e)
		}
	}
	return s.Without(Minus[E, O](out, in)...).With(changed...)
}

// Minus returns the elements of a with keys that are not in b, sorted.
func Minus[E any, O Order[E]](a, b []E) (rest []E) {
	if len(a) == 0 || len(b) == 0 {
		return a
	}
	set := Of[E, O](b)
	for _, e := range a {
		if _, ok := set.Get(e); !ok {
			rest = append(rest, e)
		}
	}
	return rest
}
