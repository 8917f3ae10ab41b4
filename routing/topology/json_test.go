package topology

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// A jsonToken is a scalar or the beginning of a list or mapping, as text.
type jsonToken struct {
	kind kind
	text string
}

// libraryTokens returns the tokens of data, which must be valid: keys, scalars, and beginnings
// of lists and mappings. It also returns the depth of data.
func libraryTokens(t *testing.T, data []byte) (tokens []jsonToken, deepest int) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for depth := 0; ; {
		token, err := dec.Token()
		if err == io.EOF {
			return tokens, deepest
		} else if err != nil {
			t.Fatalf("read a token of valid JSON: %v", err)
		}
		switch v := token.(type) {
		case nil:
			tokens = append(tokens, jsonToken{kindNull, ""})
		case bool:
			tokens = append(tokens, jsonToken{kindBool, map[bool]string{true: "true", false: "false"}[v]})
		case json.Number:
			tokens = append(tokens, jsonToken{kindNumber, v.String()})
		case string:
			tokens = append(tokens, jsonToken{kindString, v})
		case json.Delim:
			switch v {
			case '{':
				tokens = append(tokens, jsonToken{kindMapping, ""})
				depth++
			case '[':
				tokens = append(tokens, jsonToken{kindList, ""})
				depth++
			default:
				depth--
			}
			deepest = max(deepest, depth)
		}
	}
}

// FuzzReadJSON compares readJSON with encoding/json. Both accept the same texts, except for
// the depth limit, and return the same values. The position of a value is its beginning.
func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{
		``, ` `, `null`, `nul`, `nulll`, `true`, `false`, `tru`, `0`, `-0`, `01`, `-`, `-a`, `1.`, `1.5`, `.5`, `1e`, `1e5`, `1E+5`, `1e-05`,
		`+1`, `0x1`, `NaN`, `Infinity`, `1 2`, `""`, `"a`, `"\"`, `"\\"`, `"\n\u00e9\ud83d\ude00"`, `"\ud800"`, `"\ud800\u0041"`, `"\x"`, `"\u12"`,
		"\"a\nb\"", "\"\t\"", "\"\u2028\"", `[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2]`, `[`, `]`, `[1`, `[[[]]]`, `[{}]`, `{}`, `{ }`,
		`{"a":1}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"a":{"b":[1,"c",null,true]}}`, `{`, `{"a"`,
		`{"\u0061":1}`, "\ufeff{}", "{}\x00", "{} x", `{}}`, "\u00a0{}", `"`, `'a'`, `[1]//`, `{"a":[{"b":"\/"},-1.5e+3]} `,
		strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 33) + strings.Repeat("]", 33),
		strings.Repeat(`{"":`, 33) + "1" + strings.Repeat("}", 33), strings.Repeat("[", 33),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return // refused earlier, see checkText
		}
		tree, at, err := readJSON(string(data))
		if at < 0 || int(at) > len(data) {
			t.Fatalf("%q: %v at %d", data, err, at)
		}
		if !json.Valid(data) {
			if err == nil {
				t.Fatalf("%q is taken", data)
			}
			if _, why := jsonSyntaxError(string(data)); strings.Contains(why.Error(), "nil") {
				t.Fatalf("%q: no reason: %v", data, why)
			}
			return
		}
		want, depth := libraryTokens(t, data)
		if depth > maxDepth {
			if err != errTooDeep {
				t.Fatalf("%q: depth %d: got %v", data, depth, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("readJSON refused %q at offset %d: %v", data, at, err)
		}
		if len(tree) != len(want) || int(tree[0].size) != len(tree) {
			t.Fatalf("%q: %d nodes of %d, want %d", data, tree[0].size, len(tree), len(want))
		}
		for i, n := range tree {
			if got := (jsonToken{n.kind, n.text}); got != want[i] {
				t.Fatalf("%q: node %d is %+v, want %+v", data, i, got, want[i])
			}
			if !strings.HasPrefix(string(data[n.at:]), begin[n.kind]) || i > 0 && n.at <= tree[i-1].at {
				t.Fatalf("%q: the value of node %d does not begin at offset %d", data, i, n.at)
			}
		}
		checkSizes(t, tree)
	})
}

// begin has the first character of values of each kind. For some kinds it varies.
var begin = [...]string{kindNull: "null", kindString: `"`, kindNumber: "", kindBool: "", kindList: "[", kindMapping: "{"}

// checkSizes checks the sizes of a tree and of the trees in it.
func checkSizes(t *testing.T, of tree) {
	rest := of[1:]
	for len(rest) > 0 {
		if int(rest[0].size) < 1 || int(rest[0].size) > len(rest) {
			t.Fatalf("a tree has size %d, but only %d nodes are left", rest[0].size, len(rest))
		}
		checkSizes(t, rest.first())
		rest = rest[len(rest.first()):]
	}
	if k := of[0].kind; len(of) > 1 && k != kindList && k != kindMapping {
		t.Fatalf("a %v contains other values", k)
	}
}

// TestCheckText compares checkText with the expected result at all offsets.
func TestCheckText(t *testing.T) {
	for _, s := range []string{"\x00", "\x1f", "\x7f", "\u0080", "\u009f", "\xff", "\xc3", "\xe2\x82"} {
		for n := range 20 {
			for _, after := range []string{"", "a", strings.Repeat("b", 20)} {
				at, err := checkText([]byte(strings.Repeat("a", n) + s + after))
				if err == nil || int(at) != n {
					t.Errorf("checkText of %q after %d characters: got error %v at %d", s, n, err, at)
				}
			}
		}
	}
	for _, s := range []string{"", " ", "~", "\t\r\n", "\u0085", "\u00a0", "ü", "日本語", "😀", "\ufffd", "\ufeff"} {
		for n := range 20 {
			text := strings.Repeat("a", n) + s + strings.Repeat("b", n)
			if at, err := checkText([]byte(text)); err != nil {
				t.Errorf("%q: %v at %d", text, err, at)
			}
		}
	}
}

// TestRuler compares a ruler with counting from the beginning.
func TestRuler(t *testing.T) {
	text := strings.Repeat("ab\nü😀\r\n\n", 2000) + strings.Repeat("é", rulerStep) + "\n"
	r := ruler{text: text}
	line, col := 1, 1
	for i, c := range text {
		if l, k := r.place(i); l != line || k != col {
			t.Fatalf("byte %d is at %d:%d, want %d:%d", i, l, k, line, col)
		}
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	if l, k := r.place(len(text)); l != line || k != col {
		t.Fatalf("the end is at %d:%d, want %d:%d", l, k, line, col)
	}
}
