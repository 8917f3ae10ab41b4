package topology

import "slices"

// A codec reads and writes values of one kind.
type codec[V any] interface {
	// read stores the value of t in v. If t has an error, it is reported and v keeps its
	// default.
	read(w *walker, t tree, v *V)
	// append appends the text of v.
	append(b []byte, v *V, s style) []byte
	// same reports whether a and b are equal.
	same(a, b *V) bool
}

// A style is a format for writing values.
type style uint8

const (
	inJSON  style = iota
	inYAML        // flow style: on one line
	inLines       // YAML, a list inside a router, one item per line
)

// of returns a codec of T that reads and writes only a part of it. get returns that part.
func of[T, V any, C codec[V]](get func(*T) *V, c C) codec[T] { return part[T, V]{get, c} }

type part[T, V any] struct {
	get   func(*T) *V
	codec codec[V]
}

func (p part[T, V]) read(w *walker, t tree, v *T) { p.codec.read(w, t, p.get(v)) }
func (p part[T, V]) same(a, b *T) bool            { return p.codec.same(p.get(a), p.get(b)) }
func (p part[T, V]) append(b []byte, v *T, s style) []byte {
	return p.codec.append(b, p.get(v), s)
}

// A mapping is the codec of mappings with known keys.
type mapping[T any] struct {
	initial T          // the value of a mapping without keys
	fields  []field[T] // at most maxFields
}

const maxFields = 16

func (m *mapping[T]) read(w *walker, t tree, v *T) {
	*v = m.initial
	if t[0].kind != kindMapping {
		w.bad(&t[0], "want a mapping, got %v", t[0].kind)
		return
	}
	var first [maxFields]*node // keys that were found
	seen := first[:len(m.fields)]
	unknown, next := false, 0
	for rest := t[1:]; len(rest) > 0; {
		key, value := &rest[0], rest[1:].first()
		rest = rest[1+len(value):]
		switch i := m.index(key.text, next); {
		case i < 0:
			unknown = true // a suggestion must not be a key that follows later
		case seen[i] != nil:
			w.reportKey(key, "duplicate key %q, first in line %d", key.text, w.line(seen[i].at))
		default:
			seen[i], next = key, i+1
			w.enter(step{key: m.fields[i].key})
			m.fields[i].read(w, value, v)
			w.leave()
		}
	}
	var meant []bool
	if unknown {
		meant = w.unknownKeys(t, m.keys(), seen)
	}
	for i := range m.fields {
		if f := &m.fields[i]; f.required && seen[i] == nil && (meant == nil || !meant[i]) && !w.given(f.key) {
			w.reportKey(&node{at: t[0].at, text: f.key}, "missing key %q", f.key)
			w.enter(step{key: f.key})
			w.breaks()
			w.leave()
		}
	}
}

// index returns the index of the field with the given key, or -1 if no field has it. It tries
// the field at index next first.
func (m *mapping[T]) index(key string, next int) int {
	for i := next; i < len(m.fields); i++ {
		if m.fields[i].key == key {
			return i
		}
	}
	for i := range min(next, len(m.fields)) {
		if m.fields[i].key == key {
			return i
		}
	}
	return -1
}

func (m *mapping[T]) keys() []string {
	keys := make([]string, len(m.fields))
	for i := range m.fields {
		keys[i] = m.fields[i].key
	}
	return keys
}

// isDefault reports whether the key of f is omitted for v.
func (m *mapping[T]) isDefault(f *field[T], v *T) bool { return !f.required && f.same(v, &m.initial) }

func (m *mapping[T]) append(b []byte, v *T, s style) []byte {
	open, separator, colon := "{", ", ", ": "
	if s == inJSON {
		open, separator, colon = `{"`, `,"`, `":`
	}
	before := open
	for i := range m.fields {
		f := &m.fields[i]
		if m.isDefault(f, v) {
			continue
		}
		b = append(append(append(b, before...), f.key...), colon...)
		b = f.append(b, v, min(s, inYAML))
		before = separator
	}
	if before == open {
		b = append(b, '{')
	}
	return append(b, '}')
}

// appendBlock appends v as a block mapping in a list. Each key has its own line, with the
// items of its list below.
func (m *mapping[T]) appendBlock(b []byte, v *T) []byte {
	before := "  - "
	for i := range m.fields {
		f := &m.fields[i]
		if m.isDefault(f, v) {
			continue
		}
		b = append(append(append(b, before...), f.key...), ": "...)
		b = append(f.append(b, v, inLines), '\n')
		before = "    "
	}
	return b
}

func (m *mapping[T]) same(a, b *T) bool {
	for i := range m.fields {
		if !m.fields[i].same(a, b) {
			return false
		}
	}
	return true
}

// A pointer is the codec of optional values.
type pointer[V any] struct{ codec codec[V] }

func (p pointer[V]) read(w *walker, t tree, v **V) {
	if t[0].kind == kindNull {
		return
	}
	*v = new(V)
	p.codec.read(w, t, *v)
}

func (p pointer[V]) append(b []byte, v **V, s style) []byte { return p.codec.append(b, *v, s) }

func (p pointer[V]) same(a, b **V) bool {
	return *a == *b || *a != nil && *b != nil && p.codec.same(*a, *b)
}

// A list is the codec of lists. A missing value is an empty list.
type list[V any] struct{ items codec[V] }

// maxAhead is the maximum capacity that a list allocates before it has read any item.
const maxAhead = 1 << 17

func (l list[V]) read(w *walker, t tree, v *[]V) {
	switch t[0].kind {
	case kindNull:
		return
	case kindList:
	default:
		w.bad(&t[0], "want a list, got %v", t[0].kind)
		return
	}
	n := 0
	for rest := t[1:]; len(rest) > 0; rest = rest[len(rest.first()):] {
		n++
	}
	items := make([]V, 0, min(n, maxAhead))
	for rest, i := t[1:], 0; i < n; i++ {
		item := rest.first()
		rest = rest[len(item):]
		var zero V
		if w.more == 0 || i == 0 { // after the error limit, further errors are only counted
			items = append(items, zero)
		}
		w.enter(step{index: i})
		l.items.read(w, item, &items[len(items)-1])
		w.leave()
	}
	*v = items
}

func (l list[V]) append(b []byte, v *[]V, s style) []byte {
	if s == inLines && len(*v) > 0 {
		b = b[:len(b)-1] // the space after the colon
		for i := range *v {
			b = l.items.append(append(b, "\n      - "...), &(*v)[i], inYAML)
		}
		return b
	}
	separator := ", "
	if s == inJSON {
		separator = ","
	}
	b = append(b, '[')
	for i := range *v {
		if i > 0 {
			b = append(b, separator...)
		}
		b = l.items.append(b, &(*v)[i], s)
	}
	return append(b, ']')
}

func (l list[V]) same(a, b *[]V) bool {
	if len(*a) != len(*b) {
		return false
	}
	for i := range *a {
		if !l.items.same(&(*a)[i], &(*b)[i]) {
			return false
		}
	}
	return true
}

// exact implements the method same of [codec] for comparable values.
type exact[V comparable] struct{}

func (exact[V]) same(a, b *V) bool { return *a == *b }

// unknownKeys reports the keys of the mapping t that are not in keys. seen has, for each of
// keys, its node in t, or nil. The result has, for each of keys, whether an unknown key is
// probably a misspelling of it.
func (w *walker) unknownKeys(t tree, keys []string, seen []*node) (meant []bool) {
	meant = make([]bool, len(keys))
	known := make(map[string]position) // positions of the unknown keys
	for rest := t[1:]; len(rest) > 0; {
		e, value := &rest[0], rest[1:].first()
		rest = rest[1+len(value):]
		key := e.text
		if slices.Contains(keys, key) {
			continue
		}
		if w.full() {
			w.more++
			continue
		}
		if at, dup := known[key]; dup {
			w.reportKey(e, "duplicate key %s, first in line %d", quoted(key), w.line(at))
			continue
		}
		known[key] = e.at
		i := closest(keys, seen, key)
		if i < 0 {
			w.reportKey(e, "unknown key %s", quoted(key)).unset(value)
			continue
		}
		w.reportKey(e, "unknown key %s; did you mean %q?", quoted(key), keys[i]).unset(value)
		meant[i] = true
		w.enter(step{key: keys[i]})
		w.breaks()
		w.leave()
	}
	return meant
}

// quoted is text that is quoted when a message is formatted.
type quoted string

func (q quoted) String() string { return quote(string(q)) }
