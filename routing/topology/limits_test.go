package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/routing/topology"
)

// TestHostile calls Parse with hostile files. Each call fails soon, with one clear error.
func TestHostile(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	tests := []struct{ name, data, want string }{
		{"brackets", many("[", 100_000), "x:1:33: lists and mappings are nested more than 32 deep"},
		{"closed brackets", many("[", 100_000) + many("]", 100_000), "x:1:33: lists and mappings are nested more than 32 deep"},
		{"JSON brackets", many("[", 5_000) + many("]", 5_000), "x:1:33: lists and mappings are nested more than 32 deep"},
		{"braces", many("{a: ", 100_000), "x:1:127: lists and mappings are nested more than 32 deep"},
		{"dashes", many("- ", 100_000), "x:1:65: lists and mappings are nested more than 32 deep"},
		{"empty items", many("-\n", 100_000), "x:1001:1: more than 1000 keys or list items without a value"},
		{"empty items, commented", many("-\n#\n", 100_000), "x:2001:1: more than 1000 keys or list items without a value"},
		{"aliases", "a: &a [" + many("*a,", 100_000) + "]", "x:1:4: anchors (&), aliases (*) and merge keys (<<) are not supported: write the value out"},
		{"commas", "[" + many(",", 200_000), "x:1:2: expected sequence element, but found ','"},
		{"more commas", many("[,", 5_000_000), "x:1:1: the file has 10000000 punctuation marks, more than 4194304"},
		{"keys", "{" + many("a: 1,", 50_000) + "}", `x:1:2: unknown key "a"`},
		{"block keys", numbered("k%d: 1\n", 50_000), "x:257:5: a mapping with more than 256 keys"},
		{"flow keys", "{" + numbered("k%d: 1,", 50_000) + "}", `x:1:2: unknown key "k0"`},
		{"keys without values", many("- a:\n  b:\n  c: 1\n", 50_000), "x:1501:4: more than 1000 keys or list items without a value"},
		{"last keys without values", many("- a: 1\n  b:\n", 50_000), "x:2002:4: more than 1000 keys or list items without a value"},
		{"flow keys without values", many("- {a: 1, b, c: }\n", 50_000), "x:501:10: more than 1000 keys or list items without a value"},
		{"keys in lists without values", "[" + many("a: ,", 50_000) + "]", "x:1:4003: more than 1000 keys or list items without a value"},
		{"empty flow lists", "[" + many("[],", 50_000) + "]", "x:1:1: want a mapping, got a list"},
		{"items without values", many("- a:\n- \n", 50_000), "x:1001:4: more than 1000 keys or list items without a value"},
		{"comments", many("#\n", 100_000) + "a: 1", `x:100001:1: unknown key "a"`},
		{"colons", "[" + many("a:", 100_000) + "]", "x:1:1: want a mapping, got a list"},
		{"large", many(" ", 100_000_000), "x:1:1: the file has 100000000 bytes, more than 33554432"},
		{"large string", `{"ports": [{"id": "` + many("x", 10_000_000) + `", "network": "a", "mac": ""}]}`, "x:1:19: ports[0].id: the value has 10000000 bytes, more than 256"},
		{"large key", many("x", 1_000_000) + ": 1", `x:1:1: unknown key "` + many("x", 80) + `…"`},
		{"NUL", "networks:\n  \x00", "x:2:3: control character U+0000"},
		{"not UTF-8", "networks: ü\xff", "x:1:12: byte 0xff is not UTF-8"},
		{"UTF-16", "\xff\xfen\x00", "x:1:1: byte 0xff is not UTF-8"},
		{"wide key", many("é", 3) + ": 1", `x:1:1: unknown key "ééé"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			m, warnings, err := topology.Parse("x", []byte(tt.data))
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if err == nil || m != nil || warnings != nil {
				t.Fatalf("got %v, want exactly one error", err)
			}
			if got, _, _ := strings.Cut(err.Error(), "\n"); got != tt.want {
				t.Errorf("got  %.200s\nwant %s", got, tt.want)
			}
		})
	}
}

// The number of reported errors is limited. The last one has the number of the others.
func TestTooManyMistakes(t *testing.T) {
	_, _, err := topology.Parse("x", []byte(`{"ports": [`+strings.Repeat("1,\n", 20_000)+`1]}`))
	errs := err.(interface{ Unwrap() []error }).Unwrap()
	if len(errs) != 10_001 || errs[10_000].Error() != "x:10000:1: and 10001 more mistakes in this file" {
		t.Errorf("%d errors, the last %v", len(errs), errs[len(errs)-1])
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func largeFile(n int, format string) string {
	var b strings.Builder
	b.WriteString("networks: [{id: blue}]\nrouters:\n  - id: r1\n    interfaces:\n" +
		"      - {id: r1-blue, network: blue, mac: \"06:00:00:00:00:01\", addresses: [10.0.0.1/8]}\nports:\n")
	for i := range n {
		fmt.Fprintf(&b, format, i, i>>16, i>>8&255, i&255, i>>8, i&255)
	}
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, format string }{
		{"flow", "  - {id: vm%d, network: blue, mac: \"02:00:00:%02x:%02x:%02x\", addresses: [10.1.%d.%d]}\n"},
		{"block", "  - id: vm%d\n    network: blue\n    mac: 02:00:00:%02x:%02x:%02x\n    addresses:\n      - 10.1.%d.%d\n"},
	} {
		data := []byte(largeFile(20_000, bench.format))
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := topology.Parse("x", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("json", func(b *testing.B) {
		var s strings.Builder
		s.WriteString(`{"networks": [{"id": "blue"}], "ports": [`)
		for i := range 20_000 {
			if i > 0 {
				s.WriteString(",\n")
			}
			fmt.Fprintf(&s, `{"id": "vm%d", "network": "blue", "mac": "02:00:00:%02x:%02x:%02x", "addresses": ["10.1.%d.%d"]}`,
				i, i>>16, i>>8&255, i&255, i>>8, i&255)
		}
		s.WriteString("]}")
		data := []byte(s.String())
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := topology.Parse("x", data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all wrong", func(b *testing.B) {
		data := []byte(largeFile(20_000, "  - {id: vm%d, network: bleu, mac: \"01:00:00:%02x:%02x:%02x\", addresses: [10.1.%d.%d]}\n"))
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := topology.Parse("x", data); err == nil {
				b.Fatal("no error")
			}
		}
	})
}
