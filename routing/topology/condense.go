package topology

import (
	"fmt"
	"regexp"
)

// few is the maximum number of similar texts that Condense keeps.
const few = 3

// varying matches the parts of a text that differ between similar texts: names in quotes,
// numbers and addresses.
var varying = regexp.MustCompile(`"[^"]*"|\b[0-9a-f]*[.:][0-9a-f.:/]*\b|[0-9]+`)

// Condense returns texts, such as warnings, in their order. If more than three texts are
// similar, because only names, numbers and addresses differ, it returns the first of them with
// the number of the others.
func Condense(texts []string) []string {
	if len(texts) <= few {
		return texts
	}
	kinds, n := make([]string, len(texts)), make(map[string]int)
	for i, t := range texts {
		kinds[i] = varying.ReplaceAllString(t, "#")
		n[kinds[i]]++
	}
	var out []string
	for i, t := range texts {
		switch number := n[kinds[i]]; {
		case number > few:
			out = append(out, fmt.Sprintf("%s (and %d more like this)", t, number-1))
			n[kinds[i]] = -1
		case number > 0:
			out = append(out, t)
		}
	}
	return out
}
