package topology_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// merged is the definition of RFC 7396, section 2.
func merged(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = make(map[string]any)
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = merged(t[name], value)
		}
	}
	return t
}

// drawJSON draws a value.
func drawJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := []string{"null", "string", "number", "boolean", "list", "mapping", "mapping", "mapping"}
		if depth == 0 {
			kinds = kinds[:4]
		}
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "string":
			return rapid.SampledFrom([]string{"", "a", "\"", "\\", "ü", "\u2028", "null", "\x1f\n", "<&>"}).Draw(t, "string")
		case "number":
			return rapid.SampledFrom([]any{json.Number("0"), json.Number("-1.50"), json.Number("1e3"), json.Number("123456789012345678901")}).Draw(t, "number")
		case "boolean":
			return rapid.Bool().Draw(t, "boolean")
		case "list":
			return rapid.SliceOfN(drawJSON(depth-1), 0, 3).Draw(t, "list")
		case "mapping":
			return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d.e", ""}), drawJSON(depth-1), 0, 4).Draw(t, "mapping")
		}
		return nil
	})
}

// MergePatch agrees with the definition in RFC 7396.
func TestMergePatchIsRFC7396(t *testing.T) {
	parse := func(t *rapid.T, text []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		target, patch := drawJSON(3).Draw(t, "target"), drawJSON(3).Draw(t, "patch")
		a, _ := json.Marshal(target)
		b, _ := json.Marshal(patch)
		got, err := topology.MergePatch(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := merged(parse(t, a), parse(t, b)); !reflect.DeepEqual(parse(t, got), want) {
			t.Fatalf("%s patched with %s is %s, want %v", a, b, got, want)
		}
	})
	// The examples of RFC 7396, appendix A.
	for _, e := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`}, {`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`}, {`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`}, {`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`}, {`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`}, {`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`}, {`{"a":"foo"}`, `null`, `null`}, {`{"a":"foo"}`, `"bar"`, `"bar"`}, {`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`}, {`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		if got, err := topology.MergePatch([]byte(e[0]), []byte(e[1])); err != nil || string(got) != e[2] {
			t.Errorf("%s patched with %s is %s, %v; want %s", e[0], e[1], got, err, e[2])
		}
	}
}

// A mistake in a patch is reported with its position in the patch.
func TestMergePatchMistakes(t *testing.T) {
	for patch, want := range map[string]string{
		"{\n \"a\": }":                       "body:2:7: not JSON",
		"{\"a\": {\"b\": 1,\n \"b\": null}}": "body:2:2: a: duplicate key \"b\"",
		strings.Repeat("[", 40):              "body:1:33: lists and mappings are nested more than 32 deep",
		"a: b":                               "body:1:1: not JSON",
	} {
		_, err := topology.MergePatch([]byte("{}"), []byte(patch))
		var e *topology.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", patch, err, want)
		}
	}
}

// A patch made from the difference of two documents turns the first into the second.
func TestMergePatchOfObjects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNasty(t)
		for i := 1; i < len(m.Ports); i++ {
			from, to := topology.AppendPort(nil, &m.Ports[i-1]), topology.AppendPort(nil, &m.Ports[i])
			var a, b map[string]any
			if json.Unmarshal(from, &a) != nil || json.Unmarshal(to, &b) != nil {
				t.Fatal("not JSON")
			}
			for key := range a {
				if _, kept := b[key]; !kept {
					b[key] = nil
				}
			}
			if labels, ok := a["labels"].(map[string]any); ok && b["labels"] != nil {
				for key := range labels {
					if _, kept := b["labels"].(map[string]any)[key]; !kept {
						b["labels"].(map[string]any)[key] = nil
					}
				}
			}
			patch, _ := json.Marshal(b)
			text, err := topology.MergePatch(from, patch)
			if err != nil {
				t.Fatal(err)
			}
			c, err := topology.DecodePort(text, m.Ports[i].ID, nil)
			if err != nil || !c.Put.Ports[0].Equal(&m.Ports[i]) {
				t.Fatalf("%s patched with %s is %s, want %s: %v", from, patch, text, to, err)
			}
		}
	})
}

// The digest of an intent depends only on its objects, not on their order or on earlier
// changes.
func TestDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNasty(t)
		x := routing.NewIndex(m)
		want := topology.DigestOf(x)
		for _, part := range []routing.Change{
			{Delete: routing.IDs{Ports: ids(m.Ports, func(p routing.Port) string { return p.ID })}},
			{Delete: routing.IDs{Ports: ids(m.Ports, func(p routing.Port) string { return p.ID }), Routers: ids(m.Routers, func(r routing.Router) string { return r.ID })}},
		} {
			less := x.With(part)
			d := want.Moved(x, less)
			if d != topology.DigestOf(less) || d == want && x != less && (len(m.Ports) > 0) {
				t.Fatalf("digest %v after a change; computed from all objects: %v; before the change: %v", d, topology.DigestOf(less), want)
			}
			if back := d.Moved(less, less.With(routing.Change{Put: *m})); back != want {
				t.Fatalf("digest %v after a change and its reversal, want %v", back, want)
			}
		}
	})
	m := &routing.Model{Networks: []routing.Network{{ID: "a", MTU: 1500}}}
	const golden = "cc1df6ad835ad137b869227ec6bfb94a9d9934f35dfdb16fc30e8743b1c3b1b6" // a change here changes the digest of every host
	if got := topology.DigestOf(routing.NewIndex(m)).String(); got != golden {
		t.Errorf("digest %s, want %s", got, golden)
	}
}

func ids[T any](all []T, id func(T) string) (out []string) {
	for _, o := range all {
		out = append(out, id(o))
	}
	return out
}
