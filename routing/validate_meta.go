package routing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkMeta checks the name, the description and the labels of the object at p.
func (v *validator) checkMeta(p path, m *Meta) {
	if m == nil {
		return
	}
	if m.Name != "" && isBlank(m.Name) {
		v.bad(p, "name", "the name %q is blank: write a name, or leave the key out", m.Name)
	}
	text := func(key, s string, most int) {
		if len(s) > most {
			v.bad(p, key, "the %s has %d bytes, more than %d", key, len(s), most)
		} else if err := checkText(key, s); err != nil {
			v.bad(p, key, "%w", err)
		}
	}
	text("name", m.Name, MaxNameLen)
	text("description", m.Description, MaxDescriptionLen)
	if len(m.Labels) > MaxLabels {
		v.bad(p, "labels", "there are %d labels, more than %d", len(m.Labels), MaxLabels)
	}
	for i, l := range m.Labels {
		if err := CheckLabelKey(l.Key); err != nil {
			v.bad(p, "labels", "%q: %w", l.Key, err)
		} else if err := CheckLabelValue(l.Value); err != nil {
			v.bad(p, LabelPath(l.Key), "%q: %w", l.Value, err)
		}
		if i > 0 && l.Key <= m.Labels[i-1].Key {
			v.bad(p, "labels", "the labels are not sorted by key, or a key is there twice: %q comes after %q", l.Key, m.Labels[i-1].Key)
		}
	}
}

// LabelPath returns the path of a label in its object. The key is quoted because it may
// contain dots: labels["example.com/tier"].
func LabelPath(key string) string { return "labels[" + strconv.Quote(key) + "]" }

func (v *validator) checkScope(p path, key, scope string) {
	if scope == "" {
		return
	}
	if err := checkID(scope); err != nil {
		v.bad(p, key, "%w", err)
	}
}

// checkID checks the ID of an object, and adds it to ids, the IDs of its kind.
func (v *validator) checkID(p path, who owner, ids map[string]bool) {
	if err := checkID(who.id); err != nil {
		v.bad(p, "id", "%w", err)
		return
	}
	if ids[who.id] {
		v.bad(p, "id", "there is already %s %v", article(who.kind), who)
	}
	ids[who.id] = true
}

func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the ID is empty")
	case len(id) > MaxIDLen:
		return fmt.Errorf("the ID has %d bytes, more than %d", len(id), MaxIDLen)
	case isBlank(id):
		return fmt.Errorf("the ID %q is blank", id)
	}
	return checkText("ID", id)
}

// isBlank reports whether s is invisible: it has only spaces and fillers.
func isBlank(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.IsSpace(c) && !strings.ContainsRune("\u115f\u1160\u2800\u3164\uffa0", c)
	})
}

// checkText returns an error if s is not one line of text that people can read, copy and type. what
// is the name of the text in the error.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("the %s %q is not UTF-8", what, s)
	}
	for _, c := range s {
		if c < ' ' || 0x7f <= c && c < 0xa0 {
			return fmt.Errorf("the %s %q has a control character", what, s)
		}
		if unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Errorf("the %s %q has the invisible character U+%04X", what, s, c)
		}
		if c == utf8.RuneError {
			return fmt.Errorf("the %s %q has U+FFFD, which stands for a character that could not be read, such as half of a surrogate pair", what, s)
		}
	}
	return nil
}
