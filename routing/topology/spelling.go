package topology

import "strings"

// closest returns the index of the unseen key in keys that is most similar to key, or -1 if
// none is similar.
func closest(keys []string, seen []*node, key string) int {
	if len(key) > 32 {
		return -1
	}
	best, found := 3, -1 // a word that needs more than two edits counts as another word
	for i, k := range keys {
		if seen[i] != nil {
			continue
		}
		if d := distance(strings.ToLower(key), k); d < best && d < max(2, len(k)/2) {
			best, found = d, i
		}
	}
	return found
}

// distance returns the optimal string alignment distance of a and b. This is the number of changes
// that turn a into b: a character is inserted, deleted, replaced, or swapped with the next.
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
