package namespace

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// A Before keeps what namespaces were before [Ensure] changed them, so that one which is not
// deleted with its router gets that back. It is in files, one for each namespace, in a
// directory that lives as long as namespaces do. It may be used by several goroutines, for
// one namespace by one at a time.
type Before struct {
	dir string

	mu     sync.Mutex
	loaded bool
	all    map[string]*former // by name of the namespace
}

// NewBefore returns what is kept in a directory, which need not exist.
func NewBefore(dir string) *Before { return &Before{dir: dir, all: make(map[string]*former)} }

// A former is what one namespace was.
type former struct {
	Namespace    string
	Is           identity
	Settings     map[string]string // by file below /proc/sys
	LoopbackDown bool              // and without addresses, as in a new one

	saved bool
}

// An identity tells a namespace from others of its name.
type identity struct {
	Device, Inode uint64
	Since         int64 // when its file was mounted, in ns; inodes are used again
}

func identify(ns *os.File) (id identity, err error) {
	var st unix.Stat_t
	err = unix.Fstat(int(ns.Fd()), &st)
	return identity{st.Dev, st.Ino, st.Ctim.Nano()}, err
}

func (b *Before) file(name string) string {
	return filepath.Join(b.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:16]+".json")
}

// load reads the files, until that succeeds.
func (b *Before) load() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loaded {
		return nil
	}
	entries, err := os.ReadDir(b.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.loaded = true
		return nil
	case err == nil:
		err = ownfile.CheckDir(b.dir)
	}
	if err != nil {
		return fmt.Errorf("read what namespaces were before: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path, f := filepath.Join(b.dir, e.Name()), new(former)
		data, err := ownfile.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, f)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("read what a namespace was before, from %s: %w; remove it if it is of no use", path, err))
		case path != b.file(f.Namespace): // half of one, as a full disk leaves it
		case b.all[f.Namespace] == nil:
			f.saved = true
			b.all[f.Namespace] = f
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	b.loaded = true
	return nil
}

func (b *Before) save(f *former) error {
	data, err := json.Marshal(f)
	if err == nil {
		err = ownfile.Dir(b.dir)
	}
	if err == nil {
		err = ownfile.WriteFile(b.file(f.Namespace), data, 0o600)
	}
	f.saved = err == nil
	if err != nil {
		return fmt.Errorf("note what namespace %s was before ofdvr, trying again: its settings could stay if it outlives its router: %w", f.Namespace, err)
	}
	return nil
}

// Names returns the namespaces of which something is kept.
func (b *Before) Names() ([]string, error) {
	err := b.load()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.all)), err
}

// drop forgets what a namespace was.
func (b *Before) drop(name string) error {
	if err := ownfile.Remove(b.file(name)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, name)
	return nil
}

// of returns what the namespace called name was, nil if nothing is kept.
func (b *Before) of(name string) *former {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[name]
}

// note keeps what the namespace is, once, before it is changed. It must be called in it.
func (e *ensurer) note(lo netlink.Link) error {
	if e.dry || e.memory == nil || e.memory.before == nil {
		return nil
	}
	b := e.memory.before
	b.load() // what cannot be read is told where it is needed, by Names
	id, err := identify(e.ns)
	if err != nil {
		return err
	}
	f := b.of(e.d.Name)
	if f == nil || e.created || f.Is != id {
		addrs, err := e.list(lo)
		if err != nil {
			return fmt.Errorf("list the addresses of lo in namespace %s: %w", e.d.Name, err)
		}
		f = &former{Namespace: e.d.Name, Is: id, LoopbackDown: lo.Attrs().RawFlags&unix.IFF_UP == 0 && len(addrs) == 0, Settings: make(map[string]string)}
		links, err := dump(e.inside.LinkList)
		if err != nil {
			return fmt.Errorf("list the links in namespace %s: %w", e.d.Name, err)
		}
		for _, s := range affected(links) {
			if have, err := os.ReadFile("/proc/sys/" + s.file); err == nil {
				f.Settings[s.file] = strings.TrimSpace(string(have))
			}
		}
		b.mu.Lock()
		b.all[e.d.Name] = f
		b.mu.Unlock()
	}
	if f.saved {
		return nil
	}
	return b.save(f)
}

// affected returns the settings of a namespace, and those of its links, that change with what
// [Ensure] sets.
func affected(links []netlink.Link) []setting {
	all := slices.Clone(settings[:])
	for _, l := range links {
		if _, ours := markOf(l, interfaceMark); !ours {
			for _, family := range []string{"ipv4", "ipv6"} {
				all = append(all, setting{file: "net/" + family + "/conf/" + l.Attrs().Name + "/forwarding", value: "1"})
			}
		}
	}
	return all
}

// Undo gives the namespace called name, which is not deleted, what it had before: settings that are
// still what [Ensure] has made of them, the state of lo, and no routes of ours. It forgets what
// it was then, and so it does if the namespace does not exist any more or is another
// instance's. It returns what it has changed, in words.
func (b *Before) Undo(name, instance string) (changed []string, err error) {
	if err := b.load(); err != nil && b.of(name) == nil {
		return nil, err
	}
	f := b.of(name)
	if f == nil {
		return nil, nil
	}
	ns, err := openNS(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotNamespace), errors.As(err, new(*HostError)):
		return nil, b.drop(name)
	case err != nil:
		return nil, err
	}
	defer ns.Close()
	id, err := identify(ns)
	if err != nil {
		return nil, err
	}
	if id != f.Is {
		return nil, b.drop(name)
	}
	e := &ensurer{d: Desired{Name: name, Instance: instance}, ns: ns}
	err = enter(ns, func() error {
		if e.inside, err = e.open(); err != nil {
			return fmt.Errorf("open a netlink socket in namespace %s: %w", name, err)
		}
		defer e.inside.Close()
		lo, err := e.inside.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo in namespace %s: %w", name, err)
		}
		if m, marked := markOf(lo, routerMark); marked && !m.of(instance) {
			return nil
		}
		return errors.Join(e.routes(), e.unset(f), e.loopbackDown(f, lo))
	})
	if err != nil {
		return e.Changed, fmt.Errorf("undo what was set in namespace %s: %w", name, err)
	}
	return e.Changed, b.drop(name)
}

// unset gives settings that have the values of ours their former ones. All others keep theirs, also
// those that the kernel changes with them.
func (e *ensurer) unset(f *former) error {
	links, err := dump(e.inside.LinkList)
	if err != nil {
		return fmt.Errorf("list its links: %w", err)
	}
	read := func(file string) (string, bool) {
		have, err := os.ReadFile("/proc/sys/" + file)
		return strings.TrimSpace(string(have)), err == nil
	}
	all, want := affected(links), make(map[string]string)
	for _, s := range all {
		now, ok := read(s.file)
		was, known := f.Settings[s.file]
		switch {
		case !ok, !known: // a link that has come later follows
		case now == s.value:
			want[s.file] = was
		default:
			want[s.file] = now
		}
	}
	var errs []error
	for _, s := range all { // in this order: what the kernel changes with another comes after that
		w, wanted := want[s.file]
		now, ok := read(s.file)
		if !wanted || !ok || now == w {
			continue
		}
		if err := e.write("/proc/sys/"+s.file, w); err != nil {
			errs = append(errs, fmt.Errorf("set %s=%s: %w", strings.ReplaceAll(s.file, "/", "."), w, err))
			continue
		}
		e.did("set %s=%s in %s", strings.ReplaceAll(s.file, "/", "."), w, e.d.Name)
	}
	return errors.Join(errs...)
}

// loopbackDown makes lo what it is in a new namespace, if it was, and others have not given it
// addresses since.
func (e *ensurer) loopbackDown(f *former, lo netlink.Link) error {
	if !f.LoopbackDown || lo.Attrs().RawFlags&unix.IFF_UP == 0 {
		return nil
	}
	addrs, err := e.list(lo)
	if err != nil {
		return err
	}
	for a := range addrs {
		if !a.Addr().IsLoopback() {
			return nil
		}
	}
	if err := e.inside.LinkSetDown(lo); err != nil {
		return fmt.Errorf("set lo down: %w", err)
	}
	for p, a := range addrs { // the kernel has added them when it came up
		if err := e.inside.AddrDel(lo, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %v from lo: %w", p, err)
		}
	}
	e.did("set lo in %s down", e.d.Name)
	return nil
}
