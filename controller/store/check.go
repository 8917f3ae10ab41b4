package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/routing"
)

// maxProblems is how many problems a [Report] has.
const maxProblems = 1000

// A Report is what [Check] found.
type Report struct {
	Path     string
	Size     int64 // of the file, in bytes
	Version  int   // of the schema; what follows is zero if it is not the present one
	Revision uint64
	Complete bool
	// Networks, Routers and Ports are the objects that can be read.
	Networks, Routers, Ports int
	// Problems are what is damaged, wrapping [ErrCorrupt], [ErrForeign] or
	// [ErrNewer], and if nothing is, what makes the intent invalid.
	Problems []error
	More     int // problems that are not listed

	model *routing.Model // the objects that can be read
}

// Check examines the store at path, the file or its directory: the structure of
// the file, each object, and whether the intent is valid. It does not change the file. The
// error says why nothing could be found out; it wraps [ErrLocked] if a process
// has the store open. That others can write the directory is a problem, and all else is
// examined nevertheless.
func Check(path string) (Report, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	r := Report{Path: path}
	if err := r.check(); err != nil {
		return r, explain("check", path, err)
	}
	if err := ownfile.CheckDir(filepath.Dir(path)); err != nil {
		r.problem(err)
	}
	return r, nil
}

// Salvage returns what can be read of the store in directory dir, whatever is
// damaged; nothing where others could have written it. It changes nothing.
func Salvage(dir string) Contents {
	r := Report{Path: filepath.Join(dir, FileName)}
	err := ownfile.CheckDir(dir)
	if err == nil {
		err = r.check()
	}
	if err != nil || r.model == nil {
		r.model = new(routing.Model)
	}
	return Contents{Revision: r.Revision, Complete: r.Complete, Model: r.model}
}

func (r *Report) problem(err error) error {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, err)
	} else {
		r.More++
	}
	return nil
}

func (r *Report) check() error {
	f, err := openOwn(r.Path, os.O_RDONLY)
	if errors.Is(err, ErrForeign) {
		return r.problem(err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_SH); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r.Size = info.Size()
	r.model = new(routing.Model)
	m := r.model
	h, err := scan{found: adder(m), damaged: r.problem}.read(f, r.Size)
	r.Version, r.Revision, r.Complete = h.version, h.state.Revision, h.state.Complete
	r.Networks, r.Routers, r.Ports = len(m.Networks), len(m.Routers), len(m.Ports)
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrForeign), errors.Is(err, ErrNewer):
		return r.problem(err)
	case err != nil:
		return err
	case len(r.Problems) == 0 && h.version == schemaVersion:
		r.validate(m)
	}
	return nil
}

// validate reports what is wrong with m.
func (r *Report) validate(m *routing.Model) {
	joined, ok := m.Validate().(interface{ Unwrap() []error })
	if !ok {
		return // nil
	}
	for _, err := range joined.Unwrap() {
		r.problem(named(m, err))
	}
}

// named puts the object that err is about before it: the indices of its path are
// in no file.
func named(m *routing.Model, err error) error {
	var e *routing.PathError
	if !errors.As(err, &e) {
		return err
	}
	list, rest, _ := strings.Cut(e.Path, "[")
	number, _, _ := strings.Cut(rest, "]")
	i, atoi := strconv.Atoi(number)
	switch {
	case atoi != nil:
		return err
	case list == networks.String() && i < len(m.Networks):
		return fmt.Errorf("network %q: %w", m.Networks[i].ID, err)
	case list == routers.String() && i < len(m.Routers):
		return fmt.Errorf("router %q: %w", m.Routers[i].ID, err)
	case list == ports.String() && i < len(m.Ports):
		return fmt.Errorf("port %q: %w", m.Ports[i].ID, err)
	}
	return err
}
