package routing

import (
	"cmp"
	"slices"
	"strings"
)

// Meta is the name, the description and the labels of an object. No flow depends on it. It is
// immutable. If an object has none of the three, its *Meta is nil.
type Meta struct {
	Name        string // several objects may have the same
	Description string
	Labels      []Label // sorted by key; each key occurs once
}

// A Label is a key and a value by which objects are selected, see [Selector].
type Label struct{ Key, Value string }

// Limits of a valid [Meta]. Labels have the same limits as in Kubernetes.
const (
	MaxNameLen        = 255  // bytes
	MaxDescriptionLen = 1024 // bytes
	MaxLabels         = 64   // of one object
	MaxLabelPrefix    = 253  // bytes of the part of a key before the slash
	MaxLabelName      = 63   // bytes of the rest of a key, and of a value
)

// name returns the name, "" if m has no name.
func (m *Meta) name() string {
	if m == nil {
		return ""
	}
	return m.Name
}

// Label returns the value of a label.
func (m *Meta) Label(key string) (value string, ok bool) {
	if m == nil {
		return "", false
	}
	i, ok := slices.BinarySearchFunc(m.Labels, key, func(l Label, key string) int { return cmp.Compare(l.Key, key) })
	if !ok {
		return "", false
	}
	return m.Labels[i].Value, true
}

// Equal reports whether m and o are the same.
func (m *Meta) Equal(o *Meta) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m == o || m.Name == o.Name && m.Description == o.Description && slices.Equal(m.Labels, o.Labels)
}

// Equal reports whether h and o are the same.
func (h *Host) Equal(o *Host) bool {
	return h.ID == o.ID && h.Tunnel == o.Tunnel && h.Uplink == o.Uplink && h.Meta.Equal(o.Meta)
}

// Equal reports whether n and o are the same.
func (n *Network) Equal(o *Network) bool {
	return n.ID == o.ID && n.VLAN == o.VLAN && n.MTU == o.MTU && n.IPv4Scope == o.IPv4Scope && n.IPv6Scope == o.IPv6Scope &&
		n.NoFastPath == o.NoFastPath && n.VNI == o.VNI && n.Broadcast == o.Broadcast && n.Meta.Equal(o.Meta)
}

// Name returns the network's name, or its ID if it has no name.
func (n *Network) Name() string { return cmp.Or(n.Meta.name(), n.ID) }

// Name returns the host's name, or its ID if it has no name.
func (h *Host) Name() string { return cmp.Or(h.Meta.name(), h.ID) }

// Name returns the router's name, or its ID if it has no name.
func (r *Router) Name() string { return cmp.Or(r.Meta.name(), r.ID) }

// Name returns the port's name, or its ID if it has no name.
func (p *Port) Name() string { return cmp.Or(p.Meta.name(), p.ID) }

// PortsNamed returns the sorted IDs of the ports called name. It examines all ports.
func (x *Index) PortsNamed(name string) (ids []string) {
	for p := range x.Ports("") {
		if name != "" && p.Meta.name() == name {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// HasName reports whether m has this name, which must not be empty.
func (m *Meta) HasName(name string) bool { return name != "" && m.name() == name }

// CheckLabelKey returns an error if key cannot be the key of a label. As in Kubernetes, a key
// is a name, or a DNS subdomain, a slash and a name.
func CheckLabelKey(key string) error {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	switch {
	case key == "":
		return labelError("the key of the label is empty")
	case prefixed && !isSubdomain(prefix):
		return labelError("the part before the slash is not a DNS subdomain of up to 253 lower-case characters, such as example.com")
	case !isLabelText(name):
		return labelError("want up to 63 letters, digits, -, _ and ., with a letter or a digit at both ends, perhaps after a prefix such as example.com/")
	}
	return nil
}

// CheckLabelValue returns an error if value cannot be the value of a label. As in Kubernetes,
// a value is empty or a name.
func CheckLabelValue(value string) error {
	if value != "" && !isLabelText(value) {
		return labelError("want nothing, or up to 63 letters, digits, -, _ and ., with a letter or a digit at both ends")
	}
	return nil
}

// A labelError is the reason why a text cannot be a part of a label.
type labelError string

func (e labelError) Error() string { return string(e) }

// isLabelText reports whether s can be the name in a label's key, or a label's value.
func isLabelText(s string) bool {
	if s == "" || len(s) > MaxLabelName || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// isSubdomain reports whether s is a DNS subdomain (RFC 1123), in lower case.
func isSubdomain(s string) bool {
	if len(s) > MaxLabelPrefix {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ToLower(part) != part || strings.Contains(part, "_") || !isAlphanumeric(part[0]) || !isAlphanumeric(part[len(part)-1]) {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isAlphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
