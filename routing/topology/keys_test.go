package topology

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lister is implemented by the codecs that contain keys.
type lister interface{ list(path string) []string }

// list returns the paths of all keys in m, below path. Paths of required keys end in "!".
func (m *mapping[T]) list(path string) []string {
	var all []string
	for _, f := range m.fields {
		p := path + "." + f.key
		if f.required {
			all = append(all, p+"!")
		} else {
			all = append(all, p)
		}
		if l, ok := f.codec.(lister); ok {
			all = append(all, l.list(p)...)
		}
	}
	return all
}

func (p part[T, V]) list(path string) []string { return listOf(p.codec, path) }
func (l list[V]) list(path string) []string    { return listOf(l.items, path+"[]") }

func (p pointer[V]) list(path string) []string  { return listOf(p.codec, path) }
func (c severalHops) list(path string) []string { return c.hops.list(path) }

func listOf(codec any, path string) []string {
	if l, ok := codec.(lister); ok {
		return l.list(path)
	}
	return nil
}

// documentKeys returns the paths of all keys in a document. A key is required unless its
// tags make it optional.
func documentKeys(t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return documentKeys(t.Elem(), path)
	case reflect.Slice:
		return documentKeys(t.Elem(), path+"[]")
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := path + "." + key
		if options == "omitempty" || f.Tag.Get("required") == "false" {
			all = append(all, p)
		} else {
			all = append(all, p+"!")
		}
		all = append(all, documentKeys(f.Type, p)...)
	}
	return all
}

// The codec and the documents have the same keys, in the same order, and require the same
// keys.
func TestDocumentsHaveAllKeys(t *testing.T) {
	for _, tt := range []struct {
		keys     lister
		document any
	}{{topologyKeys, Topology{}}, {batchKeys, BatchBody{}}, {snapshotKeys, SnapshotBody{}}} {
		got, want := documentKeys(reflect.TypeOf(tt.document), ""), tt.keys.list("")
		if !slices.Equal(got, want) {
			t.Errorf("%T has keys\n%v\nread are\n%v", tt.document, got, want)
		}
		if len(want) < 20 {
			t.Errorf("%T: only %d keys", tt.document, len(want))
		}
	}
}

// Each key of a document has a description.
func TestDocumentsAreDescribed(t *testing.T) {
	for _, d := range []any{Topology{}, Host{}, Tunnel{}, Network{}, Router{}, Bridge{}, Route{}, NextHop{}, Interface{}, RA{}, RAPrefix{}, Port{}, AddressPair{}, BatchBody{}, IDs{}, SnapshotBody{}} {
		for f := range reflect.TypeOf(d).Fields() {
			if f.Tag.Get("doc") == "" {
				t.Errorf("%T.%s has no doc", d, f.Name)
			}
		}
	}
}
