package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A Quarantined object is in a source but cannot be used. It is left out of the intent, and all
// other objects are used.
type Quarantined struct {
	Object Object // the ID is "" if it cannot be read
	Source string // name of the source
	Err    error  // reason why it cannot be used
}

func (q Quarantined) Error() string {
	what := q.Object.String()
	if q.Object.ID == "" {
		what = "a " + q.Object.Kind.String()
	}
	return fmt.Sprintf("%s of %s is not used: %v", what, q.Source, q.Err)
}

// Quarantined returns the objects that cannot be used, by source. For each source, unreadable
// objects come first.
func (s *Intent) Quarantined() (out []Quarantined) {
	var held []*version
	for v := range s.aside.All() {
		if !v.shadow {
			held = append(held, v)
		}
	}
	slices.SortStableFunc(held, func(a, b *version) int {
		read := func(v *version) int {
			if v.thing == nil {
				return 0
			}
			return order(v.Kind)
		}
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(read(a), read(b)))
	})
	for i, src := range s.Sources {
		out = append(out, src.strays...)
		for len(held) > 0 && held[0].source == i {
			out = append(out, Quarantined{held[0].Object, src.Name, held[0].err})
			held = held[1:]
		}
	}
	return out
}

// order returns the position of a kind. Objects come after the objects that they refer to.
func order(k routing.Kind) int {
	switch k {
	case routing.KindHost:
		return 1
	case routing.KindNetwork:
		return 2
	case routing.KindRouter:
		return 3
	default:
		return 4
	}
}

// quarantine quarantines an object because of errs.
func (p *pass) quarantine(f *fate, o Object, errs []*routing.PathError) {
	v := &f.now[0]
	v.waits = references(v.thing)
	for _, err := range errs {
		if by, taken := rival(err); taken && find(p.x, by) != nil && by != o && !p.before(o, v.source, by) {
			v.waits = append(v.waits, by)
		}
	}
	if v.err = plain(errs[0]); p.locate != nil {
		v.err = cmp.Or(p.locate(v.source, o, errs[0]), v.err)
	}
	f.used = false
	if find(p.x, o) != nil { // a host without its tunnel, or a network without its VLAN and VNI
		x, displaced := without(p.x, routing.Change{Delete: idsOf(o)})
		p.x = x
		p.displace(displaced)
	}
}

// rival returns the conflicting object that err names.
func rival(err error) (Object, bool) {
	if e, ok := errors.AsType[*routing.TakenError](err); ok {
		return Object{e.Kind, e.ID}, true
	}
	return Object{}, false
}

// mistakes returns the errors about a change of objects of one kind, by index of the object.
func mistakes(err error) map[int][]*routing.PathError {
	out := make(map[int][]*routing.PathError)
	var add func(error)
	add = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				add(e)
			}
			return
		}
		e, ok := errors.AsType[*routing.PathError](err)
		if !ok {
			return
		}
		_, rest, _ := strings.Cut(e.Path, "[")
		number, _, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(number); err == nil {
			out[i] = append(out[i], e)
		}
	}
	if err != nil {
		add(err)
	}
	return out
}

// inObject returns the part after the index of a path such as ports[1].mac.
func inObject(path string) string {
	_, rest, _ := strings.Cut(path, "]")
	return rest
}

// plain returns err without the index, which has no meaning outside the change.
func plain(err *routing.PathError) error {
	if key := strings.TrimPrefix(inObject(err.Path), "."); key != "" {
		return &routing.PathError{Path: key, Err: err.Err}
	}
	return err.Err
}

// settle computes Whole and Complete.
func (s *Intent) settle() {
	whole, known, gaps := true, s.believed, s.holes > 0
	for i, src := range s.Sources {
		known = known || src.Role != Declared
		whole = whole && s.wholeOf(i)
		gaps = gaps || src.Partial || src.Loading || slices.ContainsFunc(src.strays, func(q Quarantined) bool { return q.Object.Kind != routing.KindPort || q.Object.ID == "" })
	}
	s.Whole = whole && known
	s.Complete = s.Whole && !gaps
}

// wholeOf reports whether source i is complete or assumed to be complete.
func (s *Intent) wholeOf(i int) bool {
	src := s.Sources[i]
	return src.whole || src.Role == Declared || src.Role == Own && s.believed
}
