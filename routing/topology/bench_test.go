package topology_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// benchPort is a port as an orchestrator would make it.
func benchPort(i int) routing.Port {
	return routing.Port{
		ID:        fmt.Sprintf("00000000-0000-4000-8000-%012x", i),
		Network:   "blue",
		MAC:       ofproto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
	}
}

func benchModel(ports int) *routing.Model {
	m := &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}}
	for i := range ports {
		m.Ports = append(m.Ports, benchPort(i))
	}
	return m
}

func BenchmarkDecodeBatch(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"put": `)
	if err := topology.WriteJSON(&body, benchModel(10_000)); err != nil {
		b.Fatal(err)
	}
	body.WriteString(`}`)
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topology.DecodeBatch(body.Bytes(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePort(b *testing.B) {
	p := benchPort(1)
	data := topology.AppendPort(nil, &p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topology.ParsePort(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPort(b *testing.B) {
	p := benchPort(1)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = topology.AppendPort(buf[:0], &p)
	}
}

func BenchmarkWrite(b *testing.B) {
	m := benchModel(10_000)
	for name, write := range map[string]func(io.Writer, *routing.Model) error{"json": topology.WriteJSON, "yaml": topology.WriteYAML} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := write(io.Discard, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
