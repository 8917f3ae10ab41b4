package topology

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A Salvage is what can be used of a file that may have mistakes.
type Salvage struct {
	// Model has the objects without mistakes of form. It is not validated.
	Model *routing.Model
	// Unusable are the objects that have mistakes of form, in file order.
	Unusable []Unusable
	// Err joins the [*Error]s that belong to no object, such as a mistake of
	// syntax; nil if there are none. More objects may be missing then.
	Err      error
	Warnings []Warning // about Model

	walker *walker
	index  [3][]int // of the file's objects, by list and index in Model; nil: the same
}

// An Unusable object has mistakes.
type Unusable struct {
	Kind routing.Kind
	ID   string // "" if it cannot be read either
	Err  error  // a join of [*Error]s
}

// The lists of a topology, in the order of [Salvage.index].
var (
	listKeys  = [...]string{"networks", "routers", "ports"}
	listKinds = [...]routing.Kind{routing.KindNetwork, routing.KindRouter, routing.KindPort}
)

// ParseUsable reads a topology file as [Parse] does, but keeps the objects that
// can be read where others cannot.
func ParseUsable(file string, data []byte) Salvage {
	w := newWalker(file, "file", bytes.TrimPrefix(data, []byte("\ufeff")))
	s := Salvage{Model: new(routing.Model), walker: w}
	read := w.read()
	if read && w.root[0].kind != kindNull {
		topologyKeys.read(w, w.root, s.Model)
	}
	err := w.err() // sorts them
	if !read || w.more > 0 {
		s.Model, s.Err = new(routing.Model), err
		return s
	}
	s.separate()
	if s.Model.Len() > 0 || len(s.Unusable) == 0 && s.Err == nil {
		s.Warnings = w.warnings(s.Model, s.inFile)
	}
	return s
}

// separate moves the objects with mistakes from Model to Unusable.
func (s *Salvage) separate() {
	bad := make(map[[2]int]int) // list and index in the file → index in Unusable
	var errs [][]error
	var rest []error
	for _, e := range s.walker.found {
		list, i, _, ok := cutObject(e.Path)
		if !ok || i >= s.len(list) {
			rest = append(rest, e)
			continue
		}
		at, known := bad[[2]int{list, i}]
		if !known {
			at = len(s.Unusable)
			bad[[2]int{list, i}] = at
			s.Unusable, errs = append(s.Unusable, Unusable{Kind: listKinds[list], ID: s.id(list, i)}), append(errs, nil)
		}
		errs[at] = append(errs[at], e)
	}
	for i := range errs {
		s.Unusable[i].Err = errors.Join(errs[i]...)
	}
	s.Err = errors.Join(rest...)
	if len(bad) == 0 {
		return
	}
	drop := func(list int) func(int) bool {
		s.index[list] = []int{}
		return func(i int) bool {
			_, is := bad[[2]int{list, i}]
			if !is {
				s.index[list] = append(s.index[list], i)
			}
			return is
		}
	}
	m := s.Model
	m.Networks = without(m.Networks, drop(0))
	m.Routers = without(m.Routers, drop(1))
	m.Ports = without(m.Ports, drop(2))
}

// without removes the elements of s whose index is to go.
func without[T any](s []T, goes func(int) bool) []T {
	kept := s[:0]
	for i := range s {
		if !goes(i) {
			kept = append(kept, s[i])
		}
	}
	clear(s[len(kept):])
	return kept
}

func (s *Salvage) len(list int) int {
	return [...]int{len(s.Model.Networks), len(s.Model.Routers), len(s.Model.Ports)}[list]
}

func (s *Salvage) id(list, i int) string {
	switch list {
	case 0:
		return s.Model.Networks[i].ID
	case 1:
		return s.Model.Routers[i].ID
	}
	return s.Model.Ports[i].ID
}

// cutObject returns the list and the index in it of the object that path leads to
// or into, and the rest of path.
func cutObject(path string) (list, index int, rest string, ok bool) {
	for list, key := range listKeys {
		after, found := strings.CutPrefix(path, key+"[")
		if !found {
			continue
		}
		number, rest, _ := strings.Cut(after, "]")
		i, err := strconv.Atoi(number)
		return list, i, rest, err == nil
	}
	return 0, 0, "", false
}

// inFile returns the path in the file of what has path in Model.
func (s *Salvage) inFile(path string) string {
	list, i, rest, ok := cutObject(path)
	if !ok || s.index[list] == nil || i >= len(s.index[list]) {
		return path
	}
	return listKeys[list] + "[" + strconv.Itoa(s.index[list][i]) + "]" + rest
}

// Locate returns the [*Error] in the file of a mistake in Model.
func (s *Salvage) Locate(e *routing.PathError) error {
	path := s.walker.asWritten(s.inFile(e.Path))
	line, col := s.walker.place(s.walker.find(path).at)
	return &Error{Place{s.walker.file, line, col, path}, e.Err}
}
