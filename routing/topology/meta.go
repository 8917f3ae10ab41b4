package topology

import (
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A meta is the codec of a key of T that has a part of T's metadata as its value. Empty
// metadata is nil.
type meta[T, V any] struct {
	of    func(*T) **routing.Meta
	get   func(*routing.Meta) *V
	codec codec[V]
	none  *V // the value of an object without metadata
}

func metaKey[T, V any, C codec[V]](of func(*T) **routing.Meta, get func(*routing.Meta) *V, c C) codec[T] {
	return meta[T, V]{of, get, c, new(V)}
}

func metaName(m *routing.Meta) *string            { return &m.Name }
func metaDescription(m *routing.Meta) *string     { return &m.Description }
func metaLabels(m *routing.Meta) *[]routing.Label { return &m.Labels }

func (c meta[T, V]) read(w *walker, t tree, v *T) {
	var part V
	if c.codec.read(w, t, &part); c.codec.same(&part, c.none) {
		return
	}
	m := c.of(v)
	if *m == nil {
		*m = new(routing.Meta)
	}
	*c.get(*m) = part
}

// part returns the part of v's metadata, or c.none if v has no metadata.
func (c meta[T, V]) part(v *T) *V {
	if m := *c.of(v); m != nil {
		return c.get(m)
	}
	return c.none
}

func (c meta[T, V]) append(b []byte, v *T, s style) []byte { return c.codec.append(b, c.part(v), s) }
func (c meta[T, V]) same(a, b *T) bool                     { return c.codec.same(c.part(a), c.part(b)) }

// description is the codec of longer texts.
type description struct{ text }

func (description) read(w *walker, t tree, v *string) {
	if s, ok := w.scalarOf(&t[0], routing.MaxDescriptionLen); ok {
		*v = strings.Clone(s)
	}
}

// labels is the codec of labels: a mapping from label keys to values. A missing value
// means an empty mapping.
type labels struct{}

func (labels) read(w *walker, t tree, v *[]routing.Label) {
	switch t[0].kind {
	case kindNull:
		return
	case kindMapping:
	default:
		w.bad(&t[0], "want a mapping of labels, got %v", t[0].kind)
		return
	}
	var all []routing.Label
	known := make(map[string]position)
	for rest := t[1:]; len(rest) > 0; {
		key, value := &rest[0], rest[1:].first()
		rest = rest[1+len(value):]
		at, dup := known[key.text]
		err := routing.CheckLabelKey(key.text)
		switch {
		case w.full():
			w.more++
			continue
		case dup:
			w.reportKey(key, "duplicate key %s, first in line %d", quoted(key.text), w.line(at))
			continue
		case err != nil:
			w.report(key.at, "%s: %w", quoted(key.text), err)
			continue
		case len(known) == routing.MaxLabels:
			w.report(key.at, "there are more than %d labels", routing.MaxLabels)
			return
		}
		known[key.text] = key.at
		w.enter(step{key: key.text, quoted: true})
		s, ok := "", true
		if value[0].kind != kindNull { // a missing value means an empty mapping
			s, ok = w.scalar(&value[0])
		}
		if ok {
			if err := routing.CheckLabelValue(s); err != nil {
				w.bad(&value[0], "%s: %w", quoted(s), err)
			} else {
				all = append(all, routing.Label{Key: w.shared(key.text), Value: w.shared(s)})
			}
		}
		w.leave()
	}
	slices.SortFunc(all, func(a, b routing.Label) int { return strings.Compare(a.Key, b.Key) })
	*v = all
}

func (labels) append(b []byte, v *[]routing.Label, s style) []byte {
	separator, colon := ", ", ": "
	if s == inJSON {
		separator, colon = ",", ":"
	}
	b = append(b, '{')
	for i := range *v {
		l := &(*v)[i]
		if i > 0 {
			b = append(b, separator...)
		}
		b = append(text{}.append(b, &l.Key, s), colon...)
		b = text{}.append(b, &l.Value, s)
	}
	return append(b, '}')
}

func (labels) same(a, b *[]routing.Label) bool { return slices.Equal(*a, *b) }

// metaOf sets the metadata keys of a document.
func metaOf(m *routing.Meta, name, description *string, labels *map[string]string) {
	if m == nil {
		return
	}
	*name, *description = m.Name, m.Description
	if len(m.Labels) > 0 {
		*labels = make(map[string]string, len(m.Labels))
		for _, l := range m.Labels {
			(*labels)[l.Key] = l.Value
		}
	}
}
