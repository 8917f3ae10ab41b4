package sorted

// The bounds on the length of a chunk.
const (
	MaxChunk = maxChunk
	MinChunk = minChunk
)

// Chunks returns the lengths of the chunks of s.
func Chunks[E any, O Order[E]](s Set[E, O]) (lens []int) {
	for _, c := range s.chunks {
		lens = append(lens, len(c))
	}
	return lens
}

// Unshared returns the number of chunks of t that are not chunks of s.
func Unshared[E any, O Order[E]](s, t Set[E, O]) (n int) {
	old := make(map[*E]bool)
	for _, c := range s.chunks {
		old[&c[0]] = true
	}
	for _, c := range t.chunks {
		if !old[&c[0]] {
			n++
		}
	}
	return n
}
