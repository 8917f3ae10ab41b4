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

// maxProblems is the largest number of problems that a [Report] lists.
const maxProblems = 1000

// A Report is the result of [Check].
type Report struct {
	Path     string
	Size     int64 // size of the file in bytes
	Version  int   // schema version; if it is not the current one, the fields below are zero
	Revision uint64
	Complete bool
	// Networks, Routers, Ports and Hosts count the objects that can be read.
	Networks, Routers, Ports, Hosts int
	// Problems has an error for each damaged part. These errors wrap [ErrCorrupt], [ErrForeign] or
	// [ErrNewer]. If no part is damaged, Problems has the errors of the intent's validation.
	Problems []error
	More     int // number of problems that are not listed

	model *routing.Model // the objects that can be read
}

// Check examines the structure of a store's file and each object, and validates the intent. path is
// the file or its directory. Check does not change the file. If it returns an error, it could not
// examine the file. The error wraps [ErrLocked] if a process has the store open. If other users can
// write to the directory, the report has a problem, and the store is still examined.
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

// Salvage returns the readable objects of the store in directory dir, even if the store is damaged.
// If other users could have written the file, Salvage returns no objects. It changes nothing.
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
	r.Version, r.Revision, r.Complete = h.version, h.summary.Revision, h.summary.Complete
	r.Networks, r.Routers, r.Ports, r.Hosts = len(m.Networks), len(m.Routers), len(m.Ports), len(m.Hosts)
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

// validate adds the validation errors of m.
func (r *Report) validate(m *routing.Model) {
	joined, ok := m.Validate().(interface{ Unwrap() []error })
	if !ok {
		return // nil
	}
	for _, err := range joined.Unwrap() {
		r.problem(named(m, err))
	}
}

// named replaces the index in err's path, which has no meaning outside m, by the ID of the object.
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
	case list == hosts.String() && i < len(m.Hosts):
		return fmt.Errorf("host %q: %w", m.Hosts[i].ID, err)
	case list == networks.String() && i < len(m.Networks):
		return fmt.Errorf("network %q: %w", m.Networks[i].ID, err)
	case list == routers.String() && i < len(m.Routers):
		return fmt.Errorf("router %q: %w", m.Routers[i].ID, err)
	case list == ports.String() && i < len(m.Ports):
		return fmt.Errorf("port %q: %w", m.Ports[i].ID, err)
	}
	return err
}
