package topology

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// plainTexts are YAML texts. The value is true if the text is read without the library.
var plainTexts = []struct {
	text  string
	plain bool
}{
	{"a: b\n", true}, {"a: b", true}, {"---\na: b\n", true}, {"# c\n\na: b # c\n# c\n", true}, {"  a: b\n", true}, {"a:   b\n", true},
	{"a:\n  b: c\n  d:\n    - e\n    - f: g\n      h: i\nj: k\n", true}, {"a:\n- b\n- c: d\n  e:\n  - f\ng: h\n", true},
	{"a: {b: c, d: [1, 2], e: {}, f: []}\n", true}, {"a: [b, [c, d], {e: f}]\n", true}, {"a: [ b , c ]\n", true}, {"- a: b\n- c\n", true},
	{"a: \"b # c\"\n", true}, {"a: 'b: c' # d\n", true}, {"a: \"ä\" # ö\nb: [\"ä\", c]\n", true}, {"a: {b: \"é\", c: d}\n", true},
	{"a: true\nb: false\nc: 0\nd: 17\n", true}, {"a: 10.0.1.1/24\nb: fd00::1\nc: fd00:1::/64\nd: 2001:db8::10\n", true}, {"a: [2001:db8::10, fe80::1, 10.0.0.1]\n", true},
	{"a: {b: 2001:db8::10, c: fd00::1/64}\n", true}, {"a: 9f0b1c2d-0000-4000-8000-0123456789ab\n", true}, {"a: b_c-d.e/f\n", true}, {"a: b:c\n", true}, {"a: [b:c]\n", true},
	{"a: 02:00:00:00:01:10\n", true}, {"a: [02:00:00:00:01:10]\n", true}, {"a:\n  # c\n  - b\n  # c\n  - c\n", true}, {"a: x1\n\n\nb: 1\n", true},
	{"a: b\n---\nc: d\n", false}, {"a: b\n...\n", false}, {"a:   b  \n", false}, {"a: [b] \n", true}, {"a: \"b\" \n", true}, {"a: &x b\n", false}, {"a: *x\n", false}, {"a: !t b\n", false}, {"? a\n", false}, {"a: |\n  b\n", false}, {"a: >\n  b\n", false},
	{"a:\n", false}, {"a: # c\n", false}, {"a: b\n  c\n", false}, {"a: \"b\n  c\"\n", false}, {"a: [b,\n  c]\n", false}, {"a: b c\n", false}, {"a: ~\n", false}, {"a: null\n", false},
	{"a: 017\n", false}, {"a: 0x1f\n", false}, {"a: 1.5\n", false}, {"a: 1e5\n", false}, {"a: -1\n", false}, {"a: yes\n", false}, {"a: .inf\n", false}, {"a: 1_000\n", false}, {"a: 12345678901234567890\n", false},
	{"a: \"\\n\"\n", false}, {"a: 'b''c'\n", false}, {"\"a\": b\n", false}, {"a:b\n", false}, {"a: [b, ]\n", false}, {"a: {b}\n", false}, {"a: {b: }\n", false}, {"a: \tb\n", false}, {"a:\r\n  b: c\r\n", false},
	{"- - a\n", false}, {"-\n  a: b\n", false}, {"a: b\n c: d\n", false}, {"a:\n    b: c\n  d: e\n", false}, {"a: b#c\n", false}, {"a: \"b\"c\n", false}, {"", false}, {"# c\n", false}, {"a\n", false},
	{"a: b\n- c\n", false}, {"- a\nb: c\n", false}, {"a: [b]c\n", false}, {"a: ]\n", false}, {"a: b: c\n", false}, {"2001:db8::: x\n", false}, {"a: 1:2\n", false}, {"true: b\n", false},
}

// same fails the test unless readPlainYAML and the library give the same result for a text.
func same(t *testing.T, text string) (plain bool) {
	t.Helper()
	got, plain := readPlainYAML(text)
	if !plain {
		return false
	}
	want, errs := readAnyYAML(text)
	if len(errs) > 0 {
		t.Errorf("readPlainYAML accepted a text that the library refuses: %v\n%s", errs, text)
	} else if !slices.Equal(got, want) {
		t.Errorf("readPlainYAML returned\n%v\nthe library returned\n%v\nfor\n%s", got, want, text)
	}
	return true
}

// Text gives the same result with and without the library, including positions.
func TestPlainYAMLAgreesWithLibrary(t *testing.T) {
	for _, tt := range plainTexts {
		if plain := same(t, tt.text); plain != tt.plain {
			t.Errorf("%q is read without the library: %v, want %v", tt.text, plain, tt.plain)
		}
	}
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain := 0
	for _, f := range append(files, more...) {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // a directory
		}
		for part := range strings.SplitSeq(string(text), "-- ") {
			_, body, _ := strings.Cut(part, "--\n")
			if same(t, body) {
				plain++
			}
		}
		if same(t, string(text)) {
			plain++
		}
	}
	if plain < 5 {
		t.Errorf("only %d texts of testdata are read without the library", plain)
	}
}

func FuzzPlainYAML(f *testing.F) {
	for _, tt := range plainTexts {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := checkText([]byte(text)); err == nil {
			readPlainYAML(text) // a panic here is a failure
			defer func() {
				if p := recover(); p != nil {
					t.Skip("the library cannot read it")
				}
			}()
			same(t, text)
		}
	})
}

// Styles of topologies: ofdvr export, flow style, and other programs.
var portStyles = map[string]string{
	"export": "",
	"flow":   "  - {id: p%[1]d, network: blue, mac: \"02:00:00:%02[2]x:%02[3]x:%02[4]x\", addresses: [10.%[2]d.%[3]d.%[4]d, 2001:db8::%[2]x:%[3]x:%[4]x]}\n",
	"block":  "- addresses:\n  - 10.%[2]d.%[3]d.%[4]d\n  - 2001:db8::%[2]x:%[3]x:%[4]x\n  id: p%[1]d\n  mac: '02:00:00:%02[2]x:%02[3]x:%02[4]x'\n  network: blue\n",
}

// Reading a topology takes less than 4 KB per port: 400 MB for 100,000 ports.
func TestMemoryOfYAML(t *testing.T) {
	ports := 20_000
	if lab.Full() {
		ports = 100_000
	}
	for name, style := range portStyles {
		b := bytes.NewBufferString("networks:\n- {id: blue}\nports:\n")
		for i := range ports {
			if style == "" {
				style = portStyles["flow"]
			}
			fmt.Fprintf(b, style, i, i>>16, i>>8&0xff, i&0xff)
		}
		if name == "export" {
			m, _, err := Parse("x.yaml", b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			b.Reset()
			WriteYAML(b, m)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, _, err := Parse("x.yaml", b.Bytes())
		runtime.ReadMemStats(&after)
		if err != nil || len(m.Ports) != ports {
			t.Fatal(err)
		}
		n := after.TotalAlloc - before.TotalAlloc // sum of all allocations, including freed memory
		t.Logf("%s: %d MB allocated to read %d MB, %d bytes for each byte", name, n>>20, b.Len()>>20, n/uint64(b.Len()))
		if n > uint64(ports)<<12 {
			t.Errorf("%s: %d MB allocated to read %d MB", name, n>>20, b.Len()>>20)
		}
	}
}
