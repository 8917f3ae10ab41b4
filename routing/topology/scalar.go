package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// scalar returns n as a string. A number or boolean is accepted as a string, as written in the
// file.
func (w *walker) scalar(n *node) (string, bool) { return w.scalarOf(n, maxText) }

// scalarOf is like scalar, for values of at most the given number of bytes.
func (w *walker) scalarOf(n *node, most int) (string, bool) {
	switch n.kind {
	case kindNull, kindList, kindMapping:
		w.bad(n, "want a string, got %v", n.kind)
		return "", false
	}
	if len(n.text) > most {
		w.bad(n, "the value has %d bytes, more than %d", len(n.text), most)
		return "", false
	}
	return n.text, true
}

// text is the codec of strings, including empty ones.
type text struct{ exact[string] }

func (text) read(w *walker, t tree, v *string) {
	if s, ok := w.scalar(&t[0]); ok {
		*v = strings.Clone(s) // s would keep the whole file in memory
	}
}

func (text) append(b []byte, v *string, s style) []byte {
	return endString(appendEscaped(beginString(b), *v), len(b), s)
}

// name is the codec of non-empty strings.
type name struct{ text }

func (c name) read(w *walker, t tree, v *string) {
	if c.text.read(w, t, v); *v == "" && t[0].text == "" && t[0].kind == kindString {
		w.bad(&t[0], "the name is empty: omit the key for the default")
	}
}

// reference is the codec of IDs that occur often. Equal IDs share memory.
type reference struct{ text }

func (reference) read(w *walker, t tree, v *string) {
	if s, ok := w.scalar(&t[0]); ok {
		*v = w.shared(s)
	}
}

// knownID is the codec of IDs of objects that may exist.
type knownID struct{ text }

func (c knownID) read(w *walker, t tree, v *string) {
	s, ok := w.scalar(&t[0])
	switch {
	case !ok:
	case s == "":
		w.bad(&t[0], "the ID is empty")
	case len(s) > routing.MaxIDLen:
		w.bad(&t[0], "the ID has %d bytes, more than %d", len(s), routing.MaxIDLen)
	default:
		*v = strings.Clone(s)
	}
}

// boolean is the codec of true and false.
type boolean struct{ exact[bool] }

func (boolean) read(w *walker, t tree, v *bool) {
	switch n := &t[0]; n.kind {
	case kindBool:
		*v = strings.EqualFold(n.text, "true")
	case kindString:
		w.bad(n, "want true or false, got %s", quoted(n.text))
	default:
		w.bad(n, "want true or false, got %v", n.kind)
	}
}

func (boolean) append(b []byte, v *bool, _ style) []byte { return strconv.AppendBool(b, *v) }

// number is the codec of integers called name, from low to high.
type number[V ~int | ~uint16 | ~uint32] struct {
	exact[V]
	name      string
	low, high int
}

func (c number[V]) read(w *walker, t tree, v *V) {
	n := &t[0]
	if n.kind != kindNumber {
		w.bad(n, "want a number, got %v", n.kind)
		return
	}
	digits := strings.TrimPrefix(n.text, "-")
	if strings.Trim(digits, "0123456789") != "" || len(digits) > 1 && digits[0] == '0' {
		w.bad(n, "want a whole number in decimal digits, got %s", clip(n.text))
		return
	}
	i, err := strconv.Atoi(n.text)
	if err != nil || i < c.low || i > c.high {
		w.bad(n, "%s %s is outside %d–%d", c.name, clip(n.text), c.low, c.high)
		return
	}
	*v = V(i)
}

func (number[V]) append(b []byte, v *V, _ style) []byte { return strconv.AppendInt(b, int64(*v), 10) }

// words is the codec of enumerations. A value is the index of its name. For a value without a
// name, the key is omitted.
type words[V ~uint8] struct {
	exact[V]
	names []string
	want  string // for messages
}

var (
	fallbacks = words[routing.Fallback]{
		names: []string{routing.FallbackNamespace: "namespace", routing.FallbackNone: "none"},
		want:  "namespace or none",
	}
	foreigns = words[routing.Foreign]{
		names: []string{routing.ForeignRemove: "remove", routing.ForeignReport: "report", routing.ForeignIgnore: "ignore"},
		want:  "remove, report or ignore",
	}
	routeTypes = words[routing.RouteType]{
		names: []string{routing.RouteVia: "via", routing.RouteBlackhole: "blackhole", routing.RouteReject: "reject"},
		want:  "via, blackhole or reject",
	}
	broadcasts = words[routing.Broadcast]{
		names: []string{routing.BroadcastAll: "all", routing.BroadcastDHCP: "dhcp", routing.BroadcastNone: "none"},
		want:  "all, dhcp or none",
	}
	tunnelTypes = words[routing.TunnelType]{
		names: []string{routing.TunnelGeneve: "geneve", routing.TunnelVXLAN: "vxlan"},
		want:  "geneve or vxlan",
	}
)

// adminStates is the codec of Down fields.
var adminStates = yesNo{words[uint8]{names: []string{"up", "down"}, want: "up or down"}}

// fastPaths is the codec of NoFastPath fields.
var fastPaths = yesNo{words[uint8]{names: []string{"on", "off"}, want: "on or off"}}

// yesNo is the codec of a bool with two words, the first for false.
type yesNo struct{ words words[uint8] }

func (c yesNo) read(w *walker, t tree, v *bool) {
	i := uint8(0)
	c.words.read(w, t, &i)
	*v = i == 1
}

func (c yesNo) append(b []byte, v *bool, s style) []byte {
	i := uint8(0)
	if *v {
		i = 1
	}
	return c.words.append(b, &i, s)
}

func (yesNo) same(a, b *bool) bool { return *a == *b }

// not is the codec of a bool that is true if the key is false.
type not struct{ boolean }

func (c not) read(w *walker, t tree, v *bool) {
	says := !*v
	c.boolean.read(w, t, &says)
	*v = !says
}

func (c not) append(b []byte, v *bool, s style) []byte {
	says := !*v
	return c.boolean.append(b, &says, s)
}

// scope is the codec of names that many objects have: names of address scopes and hosts.
type scope struct{ reference }

func (c scope) read(w *walker, t tree, v *string) {
	if c.reference.read(w, t, v); *v == "" && t[0].text == "" && t[0].kind == kindString {
		w.bad(&t[0], "the name is empty: omit the key for the default")
	}
}

func (c words[V]) read(w *walker, t tree, v *V) {
	s, ok := w.scalar(&t[0])
	if !ok {
		return
	}
	i := slices.Index(c.names, s)
	if s == "" || i < 0 {
		w.bad(&t[0], "want %s, got %s", c.want, quoted(s))
		return
	}
	*v = V(i)
}

func (c words[V]) append(b []byte, v *V, s style) []byte {
	return endString(append(beginString(b), c.word(*v)...), len(b), s)
}

// word returns the name of v, or "" if v has no name.
func (c words[V]) word(v V) string {
	if int(v) >= len(c.names) {
		return ""
	}
	return c.names[v]
}

// parsed is the codec of values that are written as strings.
type parsed[V comparable] struct {
	exact[V]
	parse  func(string) (V, error)
	format func([]byte, V) []byte // appends the escaped text that parse accepts
}

var (
	mac     = parsed[ofproto.MAC]{parse: ofproto.ParseMAC, format: appendMAC}
	dpid    = parsed[ofproto.DPID]{parse: ofproto.ParseDPID, format: appendDPID}
	address = parsed[netip.Addr]{parse: parseAddr, format: appendAddr}
	prefix  = parsed[netip.Prefix]{parse: parsePrefix, format: appendPrefix}

	destination     = parsed[netip.Prefix]{parse: parseDestination, format: appendPrefix}
	prefix6         = parsed[netip.Prefix]{parse: parsePrefix6, format: appendPrefix}
	addressOrPrefix = parsed[netip.Prefix]{parse: parseAddressOrPrefix, format: appendAddressOrPrefix}
)

func (c parsed[V]) read(w *walker, t tree, v *V) {
	s, ok := w.scalar(&t[0])
	if !ok {
		return
	}
	got, err := c.parse(s)
	if err != nil {
		w.bad(&t[0], "%w", err)
		return
	}
	*v = got
}

func (c parsed[V]) append(b []byte, v *V, s style) []byte {
	return endString(c.format(beginString(b), *v), len(b), s)
}

const hexDigits = "0123456789abcdef"

func appendMAC(b []byte, m ofproto.MAC) []byte {
	for i, c := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

func appendDPID(b []byte, d ofproto.DPID) []byte { return append(b, d.String()...) }

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() || a.Zone() != "" { // a valid model has no such address
		return appendEscaped(b, a.String())
	}
	return a.AppendTo(b)
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if !p.IsValid() {
		return append(b, p.String()...)
	}
	return p.AppendTo(b)
}

func parsePrefix(s string) (netip.Prefix, error) {
	v, err := netip.ParsePrefix(s)
	if err == nil {
		return v, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		example := a.String() + "/64"
		if a.Is4() {
			example = a.String() + "/24"
		}
		return v, fmt.Errorf("%q has no prefix length: want the router's address with its subnet's, like %s", s, example)
	}
	return v, fmt.Errorf("%q is not an address with a prefix length: want one like 10.0.1.1/24 or 2001:db8::1/64", s)
}

func parseDestination(s string) (netip.Prefix, error) {
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return v, fmt.Errorf("%q is not a prefix: want one like 10.9.0.0/16 or 2001:db8:9::/48, or 0.0.0.0/0 for the default route", s)
	}
	return v, nil
}

func parsePrefix6(s string) (netip.Prefix, error) {
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return v, fmt.Errorf("%q is not a prefix: want one like 2001:db8:1::/64", s)
	}
	return v, nil
}

func parseAddressOrPrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return v, fmt.Errorf("%q is neither an address nor a prefix: want one like 10.0.1.10 or 10.0.1.0/28", s)
	}
	return v, nil
}

func appendAddressOrPrefix(b []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(b)
	}
	return appendPrefix(b, p)
}

func parseAddr(s string) (netip.Addr, error) {
	v, err := netip.ParseAddr(s)
	if err == nil {
		return v, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return v, fmt.Errorf("%q has a prefix length: want the address alone, %v", s, p.Addr())
	}
	return v, fmt.Errorf("%q is not an address: want one like 10.0.1.10 or 2001:db8::10", s)
}

// clip shortens quoted text in messages.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	end := most
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }
