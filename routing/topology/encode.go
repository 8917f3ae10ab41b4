package topology

import (
	"bufio"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/routing"
)

// AppendNetwork appends the document of n as JSON on one line. Equal values give equal bytes.
// The bytes equal the output of encoding/json for [NetworkOf] without HTML escapes, with one
// exception: U+007F to U+009F are escaped too, because a file must not contain them.
func AppendNetwork(b []byte, n *routing.Network) []byte { return networkKeys.append(b, n, inJSON) }

// AppendHost is [AppendNetwork] for a host.
func AppendHost(b []byte, h *routing.Host) []byte { return hostKeys.append(b, h, inJSON) }

// AppendRouter is [AppendNetwork] for a router.
func AppendRouter(b []byte, r *routing.Router) []byte { return routerKeys.append(b, r, inJSON) }

// AppendPort is [AppendNetwork] for a port.
func AppendPort(b []byte, p *routing.Port) []byte { return portKeys.append(b, p, inJSON) }

// WriteJSON writes m as a topology file in JSON, one object per line.
func WriteJSON(w io.Writer, m *routing.Model) error {
	out := bufio.NewWriterSize(w, bufferSize)
	out.WriteString("{")
	if len(m.Hosts) > 0 {
		out.WriteString("\"hosts\":[")
		writeLines(out, m.Hosts, AppendHost)
		out.WriteString("],\n")
	}
	out.WriteString("\"networks\":[")
	writeLines(out, m.Networks, AppendNetwork)
	out.WriteString("],\n\"routers\":[")
	writeLines(out, m.Routers, AppendRouter)
	out.WriteString("],\n\"ports\":[")
	writeLines(out, m.Ports, AppendPort)
	out.WriteString("]}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write topology: %w", err)
	}
	return nil
}

const bufferSize = 64 << 10

// writeLines writes each item on its own line. The first error is kept in w.
func writeLines[T any](w *bufio.Writer, items []T, appendTo func([]byte, *T) []byte) {
	for i := range items {
		if i > 0 {
			w.WriteByte(',')
		}
		w.Write(appendTo(append(w.AvailableBuffer(), '\n'), &items[i]))
	}
	if len(items) > 0 {
		w.WriteByte('\n')
	}
}

// WriteInterfaces writes a list of router interfaces as YAML, or as JSON, under the key
// interfaces. Each interface has an additional key, router, with the ID from routers at the
// same index.
func WriteInterfaces(w io.Writer, routers []string, interfaces []routing.Interface, asJSON bool) error {
	out := bufio.NewWriterSize(w, bufferSize)
	begin, first, separator, item, router, end, s := "interfaces:\n", "", "\n", "  - {", "router: ", "\n", inYAML
	if asJSON {
		begin, first, separator, item, router, end, s = `{"interfaces": [`, "\n", ",\n", "  {", `"router":`, "\n]}\n", inJSON
	}
	switch {
	case len(interfaces) > 0:
	case asJSON:
		end = "]}\n"
	default:
		begin, end = "interfaces: []\n", ""
	}
	out.WriteString(begin)
	for i := range interfaces {
		if i == 0 {
			out.WriteString(first)
		} else {
			out.WriteString(separator)
		}
		b := append(append(out.AvailableBuffer(), item...), router...)
		b = text{}.append(b, &routers[i], s)
		if b = append(b, ','); s == inYAML {
			b = append(b, ' ')
		}
		object := interfaceKeys.append(nil, &interfaces[i], s)
		out.Write(append(b, object[1:]...)) // without its brace
	}
	out.WriteString(end)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write interfaces: %w", err)
	}
	return nil
}

// WriteYAML writes m as a topology file that people can read and edit. Each host, network,
// port and interface has one line. Strings have quotes only if YAML could misread them.
func WriteYAML(w io.Writer, m *routing.Model) error {
	out := bufio.NewWriterSize(w, bufferSize)
	writeBlock(out, "hosts", m.Hosts, asItem(hostKeys))
	writeBlock(out, "networks", m.Networks, asItem(networkKeys))
	writeBlock(out, "routers", m.Routers, routerKeys.appendBlock)
	writeBlock(out, "ports", m.Ports, asItem(portKeys))
	if m.Len() == 0 {
		out.WriteString("{}\n")
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write topology: %w", err)
	}
	return nil
}

// writeBlock writes a root key and its items. Without items it writes nothing.
func writeBlock[T any](w *bufio.Writer, key string, items []T, appendTo func([]byte, *T) []byte) {
	if len(items) > 0 {
		w.WriteString(key + ":\n")
	}
	for i := range items {
		w.Write(appendTo(w.AvailableBuffer(), &items[i]))
	}
}

// asItem returns a function that appends an item of a block list, on one line.
func asItem[T any](m *mapping[T]) func([]byte, *T) []byte {
	return func(b []byte, v *T) []byte {
		return append(m.append(append(b, "  - "...), v, inYAML), '\n')
	}
}

// beginString begins a string. Its escaped text and endString must follow.
func beginString(b []byte) []byte { return append(b, '"') }

// endString ends the string that began at start. JSON strings are valid in YAML too.
func endString(b []byte, start int, s style) []byte {
	if s != inJSON && isPlainText(b[start+1:]) {
		return b[:start+copy(b[start:], b[start+1:])]
	}
	return append(b, '"')
}

// appendEscaped appends s with the escapes of encoding/json, and escapes for all other control
// characters.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		wrong := r == utf8.RuneError && size == 1
		if r >= 0xa0 && r != '\u2028' && r != '\u2029' && !wrong {
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u`...)
			for shift := 12; shift >= 0; shift -= 4 {
				b = append(b, hexDigits[r>>shift&15])
			}
		}
		i += size
		from = i
	}
	return append(b, s[from:]...)
}
