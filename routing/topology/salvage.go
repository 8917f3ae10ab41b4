package topology

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A Salvage is the usable part of a file that may have mistakes.
type Salvage struct {
	// Model has the objects without format errors. It is not validated.
	Model *routing.Model
	// Unusable are the objects with format errors, in file order.
	Unusable []Unusable
	// Err is a join of the [*Error]s outside of objects, such as a YAML syntax error, or nil.
	// If it is not nil, more objects may be missing.
	Err      error
	Warnings []Warning // of Model

	walker *walker
	index  [4][]int // index in the file of each object in Model, by list; nil if the indices are equal
}

// An Unusable object has format errors.
type Unusable struct {
	Kind routing.Kind
	ID   string // "" if the ID cannot be read
	Err  error  // a join of [*Error]s
}

// The lists of a topology, in the order of [Salvage.index].
var (
	listKeys  = [...]string{"networks", "routers", "ports", "hosts"}
	listKinds = [...]routing.Kind{routing.KindNetwork, routing.KindRouter, routing.KindPort, routing.KindHost}
)

// ParseUsable is like [Parse], but returns the objects without format errors even if other
// objects have format errors. It does not validate.
func ParseUsable(file string, data []byte) Salvage {
	w := newWalker(file, "file", bytes.TrimPrefix(data, []byte("\ufeff")))
	s := Salvage{Model: new(routing.Model), walker: w}
	read := w.read()
	if read && w.root[0].kind != kindNull {
		topologyKeys.read(w, w.root, s.Model)
	}
	err := w.err() // and sorts the errors
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
	m.Hosts = without(m.Hosts, drop(3))
}

// without removes the elements of s at the indices for which goes returns true.
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
	return [...]int{len(s.Model.Networks), len(s.Model.Routers), len(s.Model.Ports), len(s.Model.Hosts)}[list]
}

func (s *Salvage) id(list, i int) string {
	switch list {
	case 0:
		return s.Model.Networks[i].ID
	case 1:
		return s.Model.Routers[i].ID
	case 2:
		return s.Model.Ports[i].ID
	}
	return s.Model.Hosts[i].ID
}

// cutObject returns the list and index of the object that contains path, and the rest of path.
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

// inFile translates a path in Model to a path in the file.
func (s *Salvage) inFile(path string) string {
	list, i, rest, ok := cutObject(path)
	if !ok || s.index[list] == nil || i >= len(s.index[list]) {
		return path
	}
	return listKeys[list] + "[" + strconv.Itoa(s.index[list][i]) + "]" + rest
}

// Locate returns an error in Model as an [*Error] in the file.
func (s *Salvage) Locate(e *routing.PathError) error {
	path := s.walker.asWritten(s.inFile(e.Path))
	line, col := s.walker.place(s.walker.find(path).at)
	return &Error{Place{s.walker.file, line, col, path}, e.Err}
}
