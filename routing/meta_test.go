package routing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Keys of labels have the same limits as in Kubernetes.
func TestLabelKeys(t *testing.T) {
	name, prefix := strings.Repeat("x", 63), strings.Repeat("x.", 126)+"x"
	for key, ok := range map[string]bool{
		"tier": true, "a": true, "A.b_c-d": true, "1": true, name: true, "example.com/tier": true, prefix + "/" + name: true, "a-b.c/D": true,
		"": false, name + "x": false, "-a": false, "a-": false, "a b": false, "ü": false, "/a": false, "a/": false, "a/b/c": false, prefix + "x/a": false,
		"Example.com/a": false, "a_b/c": false, "-a/b": false, "a..b/c": false, ".a/b": false, "a=b": false, "a,b": false, "!a": false,
	} {
		if err := routing.CheckLabelKey(key); (err == nil) != ok {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for value, ok := range map[string]bool{"": true, "web": true, "1.0": true, name: true, name + "x": false, "a b": false, "a/b": false, "_": false, "a.": false} {
		if err := routing.CheckLabelValue(value); (err == nil) != ok {
			t.Errorf("value %q: %v", value, err)
		}
	}
}

// A selector selects the objects that meet all its requirements. ParseSelector reads the
// result of String.
func TestSelector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "c", "x.y/a"})
		labels := make(map[string]string)
		m := new(routing.Meta)
		for _, k := range rapid.SliceOfNDistinct(word, 0, 3, rapid.ID[string]).Draw(t, "keys") {
			labels[k] = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "value")
			m.Labels = append(m.Labels, routing.Label{Key: k, Value: labels[k]})
		}
		slices.SortFunc(m.Labels, func(a, b routing.Label) int { return strings.Compare(a.Key, b.Key) })
		var parts []string
		want := true
		for range rapid.IntRange(0, 3).Draw(t, "requirements") {
			k, v := word.Draw(t, "key"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "wanted")
			has, there := labels[k]
			switch op := rapid.SampledFrom([]string{"=", "==", "!=", "there", "not"}).Draw(t, "op"); op {
			case "there":
				parts, want = append(parts, k), want && there
			case "not":
				parts, want = append(parts, "!"+k), want && !there
			case "!=":
				parts, want = append(parts, k+op+v), want && !(there && has == v)
			default:
				parts, want = append(parts, k+" "+op+v), want && there && has == v
			}
		}
		text := strings.Join(parts, ", ")
		s, err := routing.ParseSelector(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := routing.ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("String of selector %q is %q: %v", text, s, err)
		}
		if got := s.Matches(m); got != want || again.Matches(m) != want {
			t.Fatalf("selector %q matches %v: got %v, want %v", text, labels, got, want)
		}
	})
	for _, bad := range []string{",", "a,", "=a", "!", "!=a", "a=b=c", "a==b==c", "a!==b", "a b", "a in (b)", "!a=b"} {
		if s, err := routing.ParseSelector(bad); err == nil {
			t.Errorf("%q is read as %q", bad, s)
		}
	}
	if s := (routing.Selector{}); !s.Matches(nil) {
		t.Error("no selector selects not all")
	}
}

// TestMetaIsChecked makes one mistake at a time in the metadata of each kind of object.
func TestMetaIsChecked(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for _, tt := range []struct {
		meta routing.Meta
		want string
	}{
		{routing.Meta{Name: long[:255], Description: long[:1024]}, ""},
		{routing.Meta{Name: long[:256]}, "name: the name has 256 bytes, more than 255"},
		{routing.Meta{Name: "a\nb"}, `name: the name "a\nb" has a control character`},
		{routing.Meta{Name: " \u00a0\u3164"}, "name: the name \" \\u00a0\u3164\" is blank"},
		{routing.Meta{Name: "web\u200b"}, `name: the name "web\u200b" has the invisible character U+200B`},
		{routing.Meta{Name: "\u202ebew"}, `name: the name "\u202ebew" has the invisible character U+202E`},
		{routing.Meta{Name: "a\u2028b"}, `name: the name "a\u2028b" has the invisible character U+2028`},
		{routing.Meta{Name: "a\ufffd"}, "name: the name \"a\ufffd\" has U+FFFD, which stands for a character that could not be read"},
		{routing.Meta{Name: "Büro 1 ❤️ 日本"}, ""},
		{routing.Meta{Description: long}, "description: the description has 1025 bytes, more than 1024"},
		{routing.Meta{Description: "\xff"}, `description: the description "\xff" is not UTF-8`},
		{routing.Meta{Labels: []routing.Label{{Key: "b"}, {Key: "a"}}}, `labels: the labels are not sorted by key, or a key is there twice: "a" comes after "b"`},
		{routing.Meta{Labels: []routing.Label{{Key: "a"}, {Key: "a"}}}, `labels: the labels are not sorted by key, or a key is there twice: "a" comes after "a"`},
		{routing.Meta{Labels: []routing.Label{{Key: "a/b", Value: "c d"}}}, `labels["a/b"]: "c d": want nothing, or up to 63 letters`},
		{routing.Meta{Labels: []routing.Label{{Key: "a b"}}}, `labels: "a b": want up to 63 letters`},
		{routing.Meta{Labels: make([]routing.Label, 65)}, "labels: there are 65 labels, more than 64"},
	} {
		for i, path := range []string{"networks[0].", "routers[0].", "ports[0]."} {
			m := validModel()
			*[]**routing.Meta{&m.Networks[0].Meta, &m.Routers[0].Meta, &m.Ports[0].Meta}[i] = &tt.meta
			err := m.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), path+tt.want)) {
				t.Errorf("%s%+v: error %v, want %q", path, tt.meta, err, tt.want)
			}
		}
	}
}

// A change of metadata changes the intent, but no flow.
func TestMetaChangesNoFlow(t *testing.T) {
	m := validModel()
	x := routing.NewIndex(m)
	meta := func(name string) *routing.Meta {
		return &routing.Meta{Name: name, Description: "for " + name, Labels: []routing.Label{{Key: "tier", Value: "web"}}}
	}
	var c routing.Change
	for _, n := range m.Networks {
		n.Meta = meta("n")
		c.Put.Networks = append(c.Put.Networks, n)
	}
	for _, r := range m.Routers {
		r.Meta = meta("r")
		c.Put.Routers = append(c.Put.Routers, r)
	}
	for _, p := range m.Ports {
		p.Meta = meta("p")
		c.Put.Ports = append(c.Put.Ports, p)
	}
	if err := x.Check(c); err != nil {
		t.Fatal(err)
	}
	if d := x.Differs(c); d.Len() != 5 {
		t.Errorf("%d objects differ, want 5", d.Len())
	}
	y := x.With(c)
	if d := y.Differs(c); d.Len() != 0 {
		t.Errorf("%d objects differ after the change", d.Len())
	}
	facts := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	for i, f := range m.Routers[0].Interfaces {
		facts.Ports[f.PatchName()], facts.Ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
	}
	before := compile.Compile(x, x.Router("r1"), facts)
	after := compile.Recompile(before, y, y.Router("r1"), facts)
	if !before.Flows.Equal(after.Flows) || before.Flows.Len() == 0 {
		t.Error("the flows differ")
	}
	if got := fmt.Sprint(y.PortsNamed("p"), y.PortsNamed("vm1"), y.PortsNamed("")); got != "[vm1 vm2] [] []" {
		t.Errorf("ports named p, vm1 and nothing are %s", got)
	}
}
