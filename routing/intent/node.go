package intent

import (
	"strconv"
	"strings"
)

// A node is a value of a file and where it begins, whatever the syntax.
type node struct {
	kind      kind
	line, col int
	text      string  // of a scalar, as written but for quotes and escapes
	items     []*node // of a list
	entries   []entry // of a mapping, in file order, duplicates included
}

type entry struct{ key, value *node }

type kind uint8

const (
	kindNull kind = iota
	kindString
	kindNumber
	kindBool
	kindList
	kindMapping
)

// String returns k with its article, for messages.
func (k kind) String() string {
	return [...]string{"nothing", "a string", "a number", "a boolean", "a list", "a mapping"}[k]
}

// child returns the value of key in a mapping, nil if there is none.
func (n *node) child(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// find returns the deepest node on path, such as "ports[2].mac", that exists
// below n. It takes a time that depends on the depth alone.
func (n *node) find(path string) *node {
	for path != "" {
		var next *node
		if rest, ok := strings.CutPrefix(path, "["); ok {
			index, after, _ := strings.Cut(rest, "]")
			path = strings.TrimPrefix(after, ".")
			if i, err := strconv.Atoi(index); err == nil && 0 <= i && i < len(n.items) {
				next = n.items[i]
			}
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			next = n.child(path[:end])
			path = strings.TrimPrefix(path[end:], ".")
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
