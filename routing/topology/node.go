package topology

import (
	"strconv"
	"strings"
)

// A tree is a value of a file in any syntax. It begins with the value's node. The trees of a
// list's items, or of a mapping's keys and values in turn, follow in file order, including
// duplicates. One slice holds a whole file, so a value needs no allocation of its own.
type tree []node

// A node is the position and the kind of a value.
type node struct {
	at   position
	text string // of a scalar, without quotes and escapes
	size int32  // number of nodes in its tree
	kind kind
}

type kind uint8

const (
	kindNull kind = iota
	kindString
	kindNumber
	kindBool
	kindList
	kindMapping
)

// String returns k with an article, for messages.
func (k kind) String() string {
	return [...]string{"nothing", "a string", "a number", "a boolean", "a list", "a mapping"}[k]
}

// first returns the first tree of a sequence of trees.
func (t tree) first() tree { return t[:t[0].size] }

// child returns the value of key in a mapping, or nil if the mapping lacks key.
func (t tree) child(key string) tree {
	if t[0].kind != kindMapping {
		return nil
	}
	for rest := t[1:]; len(rest) > 0; {
		value := rest[1:].first()
		if rest[0].text == key {
			return value
		}
		rest = rest[1+len(value):]
	}
	return nil
}

// items returns the items of a list.
func (t tree) items() []tree {
	if t[0].kind != kindList {
		return nil
	}
	var items []tree
	for rest := t[1:]; len(rest) > 0; rest = rest[len(rest.first()):] {
		items = append(items, rest.first())
	}
	return items
}

// find returns the deepest existing node on path, such as "ports[2].mac". The time depends
// only on the depth, except for the first call for a list.
func (w *walker) find(path string) *node {
	t := w.root
	for path != "" {
		var s step
		var next tree
		s, path = cutStep(path)
		if s.key != "" {
			next = t.child(s.key)
		} else if items := w.itemsOf(t); 0 <= s.index && s.index < len(items) {
			next = items[s.index]
		}
		if next == nil {
			break
		}
		t = next
	}
	return &t[0]
}

// itemsOf returns t.items() from a cache.
func (w *walker) itemsOf(t tree) []tree {
	items, ok := w.items[&t[0]]
	if !ok {
		if w.items == nil {
			w.items = make(map[*node][]tree)
		}
		items = t.items()
		w.items[&t[0]] = items
	}
	return items
}

// A step leads from a value to one of its children.
type step struct {
	key    string // "" for a list item
	index  int
	quoted bool // the key is written as ["key"], because it may have dots
}

// cutStep returns the first step of a path such as "routers[0].interfaces[1].mac"
// or "ports[0].labels["example.com/tier"]", and the rest.
func cutStep(path string) (s step, rest string) {
	if after, ok := strings.CutPrefix(path, "["); ok {
		if text, err := strconv.QuotedPrefix(after); err == nil {
			key, _ := strconv.Unquote(text)
			return step{key: key, quoted: true}, strings.TrimPrefix(strings.TrimPrefix(after[len(text):], "]"), ".")
		}
		index, rest, _ := strings.Cut(after, "]")
		i, err := strconv.Atoi(index)
		if err != nil {
			i = -1
		}
		return step{index: i}, strings.TrimPrefix(rest, ".")
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	return step{key: path[:end]}, strings.TrimPrefix(path[end:], ".")
}

// A trail is the path from the root to a value.
type trail []step

func (t trail) String() string {
	var b []byte
	for i, s := range t {
		switch {
		case s.quoted:
			b = append(strconv.AppendQuote(append(b, '['), s.key), ']')
		case s.key == "":
			b = append(strconv.AppendInt(append(b, '['), int64(s.index), 10), ']')
		case i > 0:
			b = append(append(b, '.'), s.key...)
		default:
			b = append(b, s.key...)
		}
	}
	return string(b)
}
