package topology_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// All decoders. Decoders of single objects get the ID x.
var decoders = map[string]func([]byte, func(*routing.Change) error) (routing.Change, error){
	"network": func(b []byte, also func(*routing.Change) error) (routing.Change, error) {
		return topology.DecodeNetwork(b, "x", also)
	},
	"host": func(b []byte, also func(*routing.Change) error) (routing.Change, error) {
		return topology.DecodeHost(b, "x", also)
	},
	"router": func(b []byte, also func(*routing.Change) error) (routing.Change, error) {
		return topology.DecodeRouter(b, "x", also)
	},
	"port": func(b []byte, also func(*routing.Change) error) (routing.Change, error) {
		return topology.DecodePort(b, "x", also)
	},
	"topology": topology.DecodeTopology,
	"batch":    topology.DecodeBatch,
	"snapshot": func(b []byte, also func(*routing.Change) error) (routing.Change, error) {
		s, err := topology.DecodeSnapshot(b, also)
		if err != nil {
			return routing.Change{}, err
		}
		return routing.Change{Put: routing.Model{Networks: s.Networks, Routers: []routing.Router{s.Router}, Ports: s.Ports}}, nil
	},
}

// alone validates a change on its own, against an empty model.
func alone(c *routing.Change) error { return c.Put.Validate() }

func TestDecode(t *testing.T) {
	port := routing.Port{ID: "x", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1, 0x10}}
	router := routing.Router{ID: "x", ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50,
		Bridge: routing.Bridge{Managed: true}, Fallback: routing.FallbackNone}
	tests := []struct {
		kind, body string
		want       routing.Change
	}{
		{"network", `{"id":"x","vlan":7}`, routing.Change{Put: routing.Model{Networks: []routing.Network{{ID: "x", VLAN: 7, MTU: 1500}}}}},
		{"network", `{}`, routing.Change{Put: routing.Model{Networks: []routing.Network{{ID: "x", MTU: 1500}}}}},
		{"host", `{}`, routing.Change{Put: routing.Model{Hosts: []routing.Host{{ID: "x"}}}}},
		{"router", ` {"fallback": "none"}` + "\n", routing.Change{Put: routing.Model{Routers: []routing.Router{router}}}},
		{"port", `{"network":"blue","mac":"02:00:00:00:01:10"}`, routing.Change{Put: routing.Model{Ports: []routing.Port{port}}}},
		{"topology", `{"ports":[{"id":"x","network":"blue","mac":"02:00:00:00:01:10"}]}`, routing.Change{Put: routing.Model{Ports: []routing.Port{port}}}},
		{"topology", `{}`, routing.Change{}},
		{"batch", `{}`, routing.Change{}},
		{"batch", `{"put":{"networks":null,"ports":[{"id":"x","network":"blue","mac":"02:00:00:00:01:10"}]},
			"delete":{"hosts":["h"],"networks":["a",7],"routers":["b"],"ports":["c"]}}`,
			routing.Change{Put: routing.Model{Ports: []routing.Port{port}},
				Delete: routing.IDs{Hosts: []string{"h"}, Networks: []string{"a", "7"}, Routers: []string{"b"}, Ports: []string{"c"}}}},
		{"snapshot", `{"networks":[{"id":"blue"}],"router":{"id":"x","fallback":"none"}}`, routing.Change{Put: routing.Model{
			Networks: []routing.Network{{ID: "blue", MTU: 1500}}, Routers: []routing.Router{router}}}},
	}
	for _, tt := range tests {
		got, err := decoders[tt.kind]([]byte(tt.body), func(*routing.Change) error {
			t.Errorf("%s %s: the decoder called also for a body without mistakes", tt.kind, tt.body)
			return nil
		})
		if err != nil {
			t.Errorf("%s %s: %v", tt.kind, tt.body, err)
		}
		if diff := cmp.Diff(tt.want, got, sameModel...); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.kind, tt.body, diff)
		}
	}
}

// All format errors and validation errors of a body are reported with paths and positions in
// the body.
func TestDecodeMistakes(t *testing.T) {
	tests := []struct{ kind, body, want string }{
		{"port", ``, `body:1:1: not JSON: unexpected end of JSON input`},
		{"port", "{\n \"id\": x}", `body:2:8: not JSON: unexpected 'x' where a value should begin`},
		{"port", "\"\xff\"", `body:1:2: byte 0xff is not UTF-8`},
		{"port", "\"ab\x93\"", `body:1:4: byte 0x93 is not UTF-8`},
		{"port", "{\n\x93", `body:2:1: byte 0x93 is not UTF-8`},
		{"port", "\x93", `body:1:1: byte 0x93 is not UTF-8`},
		{"port", `{"ü`, `body:1:3: not JSON: unexpected end of JSON input`},
		{"port", `[]`, `body:1:1: want a mapping, got a list`},
		{"topology", `null`, `body:1:1: want a mapping, got nothing`},
		{"port", `{"id":"y","network":"blue","mac":"02:00:00:00:01:10"}`, `body:1:7: id: the ID is "y", but that of the request is "x"
body:1:21: network: unknown network "blue"`},
		{"port", `{"Id":"x","network":"blue","mac":"02:00:00:00:01:10"}`, `body:1:2: unknown key "Id"; did you mean "id"?
body:1:21: network: unknown network "blue"`},
		{"port", `{"id":["y"],"mac":"03:00:00:00:00:00","addresses":["10.0.0.1","10.0.0.1","127.0.0.1"]}`,
			`body:1:1: missing key "network"
body:1:7: id: want a string, got a list
body:1:19: mac: mac 03:00:00:00:00:00 is a multicast address
body:1:74: addresses[2]: address 127.0.0.1 is a loopback address`},
		{"router", "{\"colour\": 1,\n\"interfaces\":[{\"id\":\"i\",\"network\":\"ü\",\"mac\":\"\"},\n{\"id\":\"j\",\"network\":\"n\",\"mac\":\"03:00:00:00:00:01\",\"addresses\":[]}]}",
			`body:1:2: unknown key "colour"
body:2:15: interfaces[0]: missing key "addresses"
body:2:35: interfaces[0].network: unknown network "ü"
body:2:45: interfaces[0].mac: "" is not a MAC address: want six octets like 02:00:00:00:01:10
body:3:21: interfaces[1].network: unknown network "n"
body:3:31: interfaces[1].mac: mac 03:00:00:00:00:01 is a multicast address
body:3:63: interfaces[1].addresses: interface "j" has no address`},
		{"network", `{"vlan":9999,"mtu":70000,"mtu":1}`, `body:1:9: vlan: vlan 9999 is outside 1–4094
body:1:20: mtu: mtu 70000 is outside 68–65535
body:1:26: duplicate key "mtu", first in line 1`},
		{"topology", `{"ports":[{"id":"p","network":"blue","mac":"x"},{"id":"p","network":"n","mac":"02:00:00:00:01:10"}]}`,
			`body:1:31: ports[0].network: unknown network "blue"
body:1:44: ports[0].mac: "x" is not a MAC address: want six octets like 02:00:00:00:01:10
body:1:55: ports[1].id: there is already a port "p"
body:1:69: ports[1].network: unknown network "n"`},
		{"batch", `{"put":{"networks":[{"id":"n","vlan":0}],"ports":[{"id":"p","network":"m","mac":"02:00:00:00:01:10"}]},
"delete":{"ports":["", {}, "` + strings.Repeat("ü", 33) + `"],"routers":"r","network":[]},"remove":1}`,
			`body:1:38: put.networks[0].vlan: vlan 0 is outside 1–4094
body:1:71: put.ports[0].network: unknown network "m"
body:2:20: delete.ports[0]: the ID is empty
body:2:24: delete.ports[1]: want a string, got a mapping
body:2:28: delete.ports[2]: the ID has 66 bytes, more than 64
body:2:75: delete.routers: want a list, got a string
body:2:79: delete: unknown key "network"; did you mean "networks"?
body:2:93: unknown key "remove"`},
		{"batch", `{"put":{"networks":[{"id":{}}],"ports":[{"id":"p","network":"m","mac":"03:00:00:00:01:10"}]}}`,
			`body:1:27: put.networks[0].id: want a string, got a mapping
body:1:71: put.ports[0].mac: mac 03:00:00:00:01:10 is a multicast address`},
		{"batch", `{"put":[]}`, `body:1:8: put: want a mapping, got a list`},
		{"batch", `{"delete":{"networks":[[]]},"put":{"ports":[{"id":"p","network":"m","mac":"02:00:00:00:01:10"}]}}`,
			`body:1:24: delete.networks[0]: want a string, got a list
body:1:65: put.ports[0].network: unknown network "m"`},
		{"snapshot", `{"ports":[1]}`, `body:1:1: missing key "router"
body:1:11: ports[0]: want a mapping, got a number`},
		{"snapshot", `{"router":{"id":"","interfaces":[{"id":"i","network":"n","mac":"02:00:00:00:00:01","addresses":["10.0.0.0/24"]}]},"networks":[{"id":"m","mtu":true}]}`,
			`body:1:17: router.id: the ID is empty
body:1:54: router.interfaces[0].network: unknown network "n"
body:1:97: router.interfaces[0].addresses[0]: address 10.0.0.0 is the network address of 10.0.0.0/24
body:1:143: networks[0].mtu: want a number, got a boolean`},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			c, err := decoders[tt.kind]([]byte(tt.body), alone)
			if err == nil {
				t.Fatalf("%s: no mistake", tt.body)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.body, diff)
			}
			if diff := cmp.Diff(routing.Change{}, c, sameModel...); diff != "" {
				t.Errorf("the decoder returned a change in addition to the errors: %s", diff)
			}
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				if _, ok := err.(*topology.Error); !ok {
					t.Errorf("%T has no place", err)
				}
			}
		})
	}
}

// The argument also of a decoder gets the decoded change. It may return a single error or a
// join, and may be nil.
func TestDecodeAlso(t *testing.T) {
	body := []byte(`{"put":{"networks":[{"id":"n","vlan":"x"}]},"delete":{"ports":["p"]}}`)
	wrong := &routing.PathError{Path: "networks[0].mtu", Err: errors.New("too small")}
	for _, also := range []error{wrong, errors.Join(errors.Join(wrong), errors.New("elsewhere")), fmt.Errorf("validate: %w", wrong)} {
		_, err := topology.DecodeBatch(body, func(c *routing.Change) error {
			want := &routing.Change{Put: routing.Model{Networks: []routing.Network{{ID: "n", MTU: 1500}}}, Delete: routing.IDs{Ports: []string{"p"}}}
			if diff := cmp.Diff(want, c, sameModel...); diff != "" {
				t.Errorf("also (-want +got):\n%s", diff)
			}
			return also
		})
		want := "body:1:21: put.networks[0].mtu: too small\nbody:1:38: put.networks[0].vlan: want a number, got a string"
		if err == nil || err.Error() != want {
			t.Errorf("%v: got\n%v\nwant\n%v", also, err, want)
		}
	}
	if _, err := topology.DecodeBatch(body, nil); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without also: %v", err)
	}
}

// All decoders decode an encoded value to an equal value.
func TestDecodeWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawNasty(t)
		var b strings.Builder
		if err := topology.WriteJSON(&b, m); err != nil {
			t.Fatal(err)
		}
		whole, err := topology.DecodeTopology([]byte(b.String()), nil)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := topology.DecodeBatch([]byte(`{"put":`+b.String()+"}"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(routing.Change{Put: *m}, whole, sameModel...) + cmp.Diff(whole, batch, sameModel...); diff != "" {
			t.Fatal(diff)
		}
		for i := range m.Routers {
			want := routing.Change{Put: routing.Model{Routers: m.Routers[i : i+1]}}
			got, err := topology.DecodeRouter(topology.AppendRouter(nil, &m.Routers[i]), m.Routers[i].ID, nil)
			if diff := cmp.Diff(want, got, sameModel...); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
			snapshot := fmt.Appendf(nil, `{"router":%s}`, topology.AppendRouter(nil, &m.Routers[i]))
			s, err := topology.DecodeSnapshot(snapshot, nil)
			if diff := cmp.Diff(m.Routers[i], s.Router, sameModel...); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
		}
	})
}

// Texts that are not stored objects are refused.
func TestParseObjectRefuses(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{`{"id":"p","network":"n","mac":"02:00:00:00:00:01","colour":1}`, `object:1:51: unknown key "colour"`},
		{`{"network":"n","mac":"02:00:00:00:00:01"}`, `object:1:1: missing key "id"`},
		{`{"id":"p","network":"n","mac":"02:00:00:00:00:01"} {}`, `object:1:52: not JSON: unexpected '{' after top-level value`},
		{``, `object:1:1: not JSON: unexpected end of JSON input`},
	} {
		p, err := topology.ParsePort([]byte(tt.data))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.data, err, tt.want)
		}
		if diff := cmp.Diff(routing.Port{}, p, sameModel...); diff != "" {
			t.Errorf("%s: the parser returned a value in addition to the error: %s", tt.data, diff)
		}
	}
}

// TestHostileBodies calls DecodeBatch with hostile bodies. Each call fails soon, with a clear
// first error, and takes bounded memory.
func TestHostileBodies(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	tests := []struct{ name, body, want string }{
		{"brackets", many("[", 100_000), "body:1:33: lists and mappings are nested more than 32 deep"},
		{"closed brackets", many("[", 5_000) + many("]", 5_000), "body:1:33: lists and mappings are nested more than 32 deep"},
		{"braces", many(`{"a":`, 100_000), "body:1:161: lists and mappings are nested more than 32 deep"},
		{"mistakes", `{"put":{"ports":[` + many("1,\n", 1_000_000) + "1]}}", "body:1:18: put.ports[0]: want a mapping, got a number"},
		{"mistakes in one line", `{"delete":{"ports":[` + many("[],", 1_000_000) + "[]]}}", "body:1:21: delete.ports[0]: want a string, got a list"},
		{"unknown keys", "{" + numbered(`"k%d":1,`, 1_000_000) + `"k":1}`, `body:1:2: unknown key "k0"`},
		{"duplicate keys", "{" + many(`"put":{},`, 1_000_000) + `"put":{}}`, `body:1:11: duplicate key "put", first in line 1`},
		{"string", `{"put":"` + many("x", 30<<20) + `"}`, "body:1:8: put: want a mapping, got a string"},
		{"string of brackets", `{"put":"` + many("[", 30<<20) + `"}`, "body:1:8: put: want a mapping, got a string"},
		{"escapes", `{"put":"` + many(`\n`, 15<<20) + `"}`, "body:1:8: put: want a mapping, got a string"},
		{"strings with escapes", `{"put":[` + many(`"\n",`, 1_000_000) + `1]}`, "body:1:8: put: want a mapping, got a list"},
		{"values", "[" + many("1,", 10<<20) + "1]", "body:1:16777216: there are more than 8388608 keys and values"},
		{"large", many(" ", 64<<20), "body:1:1: the body has 67108864 bytes, more than 33554432"},
		{"spaces", many(" ", 32<<20), "body:1:33554432: not JSON: unexpected end of JSON input"},
		{"long ID", `{"put":{"ports":[{"id":"` + many("x", 30<<20) + `","network":"n","mac":""}]}}`,
			"body:1:24: put.ports[0].id: the value has 31457280 bytes, more than 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := topology.DecodeBatch(body, alone) // the test would time out if decoding took more than linear time
			runtime.ReadMemStats(&after)
			if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 1024 {
				t.Errorf("took %d MiB", allocated)
			} else {
				t.Logf("took %d MiB for %d", allocated, len(body)>>20)
			}
			if err == nil {
				t.Fatal("no error")
			}
			if got, _, _ := strings.Cut(err.Error(), "\n"); got != tt.want {
				t.Errorf("got  %.200s\nwant %s", got, tt.want)
			}
		})
	}
}

// A decoded object does not refer to its body: keeping one port from each of many bodies takes
// little memory.
func TestSharedMemory(t *testing.T) {
	var kept []routing.Port
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	for i := range 64 {
		p := benchPort(i)
		p.ID = fmt.Sprint("é", i) // encoding/json would escape this character
		body := strings.Replace(string(topology.AppendPort(nil, &p)), "é", `\u00e9`, 1) + strings.Repeat(" ", 1<<20)
		c, err := topology.DecodePort([]byte(body), p.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c.Put.Ports...)
	}
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("%d ports keep %d bytes", len(kept), grown)
	}
	runtime.KeepAlive(kept)
}
