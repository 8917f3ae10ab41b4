package routing

import (
	"fmt"
	"strings"
)

// A Selector selects the objects with labels that meet all its requirements. The zero Selector
// selects every object.
type Selector struct{ all []requirement }

// A requirement is one part of a selector.
type requirement struct {
	key, value string
	anyValue   bool // any value of the label meets the requirement
	not        bool // the requirement is negated
}

// ParseSelector reads requirements that are separated by commas. "key=value"
// and "key==value" require a label with this key and value, and "key" a label
// with this key. "key!=value" and "!key" require that there is no such label.
// This is the syntax of kubectl without sets.
func ParseSelector(s string) (Selector, error) {
	var sel Selector
	if strings.TrimSpace(s) == "" {
		return sel, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		r, err := parseRequirement(strings.TrimSpace(part))
		if err != nil {
			return Selector{}, fmt.Errorf("label selector %q: %w", part, err)
		}
		sel.all = append(sel.all, r)
	}
	return sel, nil
}

func parseRequirement(s string) (requirement, error) {
	var r requirement
	key, value, given := strings.Cut(s, "=")
	switch {
	case given:
		key, r.not = strings.CutSuffix(key, "!")
		value = strings.TrimPrefix(value, "=")
		if r.not && strings.HasPrefix(s[len(key):], "!==") {
			return r, labelError("want key=value, key!=value, key or !key")
		}
	default:
		r.anyValue = true
		key, r.not = strings.CutPrefix(s, "!")
	}
	r.key, r.value = strings.TrimSpace(key), strings.TrimSpace(value)
	if r.key == "" {
		return r, labelError("want key=value, key!=value, key or !key")
	}
	if err := CheckLabelKey(r.key); err != nil {
		return r, fmt.Errorf("key %q: %w", r.key, err)
	}
	if err := CheckLabelValue(r.value); err != nil {
		return r, fmt.Errorf("value %q: %w", r.value, err)
	}
	return r, nil
}

// Matches reports whether s selects an object with this metadata.
func (s Selector) Matches(m *Meta) bool {
	for _, r := range s.all {
		value, has := m.Label(r.key)
		if (has && (r.anyValue || value == r.value)) == r.not {
			return false
		}
	}
	return true
}

// String returns s as [ParseSelector] reads it.
func (s Selector) String() string {
	var parts []string
	for _, r := range s.all {
		switch {
		case r.anyValue && r.not:
			parts = append(parts, "!"+r.key)
		case r.anyValue:
			parts = append(parts, r.key)
		case r.not:
			parts = append(parts, r.key+"!="+r.value)
		default:
			parts = append(parts, r.key+"="+r.value)
		}
	}
	return strings.Join(parts, ",")
}
