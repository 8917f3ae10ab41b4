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

// Backups has the settings that namespaces had before [Ensure] changed them. If a namespace is not
// deleted with its router, its settings are restored. Each namespace has a file in a directory that
// must exist as long as the namespaces. The methods may be called from several goroutines, but only
// one at a time for each namespace.
type Backups struct {
	dir string

	mu     sync.Mutex
	loaded bool
	all    map[string]*backup // backups by name of the namespace
}

// NewBackups returns the Backups in a directory, which need not exist.
func NewBackups(dir string) *Backups { return &Backups{dir: dir, all: make(map[string]*backup)} }

// A backup is the backup of one namespace.
type backup struct {
	Namespace    string
	Is           identity
	Settings     map[string]string // by file below /proc/sys
	LoopbackDown bool              // lo was down and had no addresses, as in a new namespace

	saved bool
}

// An identity distinguishes a namespace from others that have had its name.
type identity struct {
	Device, Inode uint64
	Since         int64 // time when its file was mounted, in ns; needed because inodes are reused
}

func identify(ns *os.File) (id identity, err error) {
	var st unix.Stat_t
	err = unix.Fstat(int(ns.Fd()), &st)
	return identity{st.Dev, st.Ino, st.Ctim.Nano()}, err
}

func (b *Backups) file(name string) string {
	return filepath.Join(b.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:16]+".json")
}

// load reads the files, unless an earlier call has succeeded.
func (b *Backups) load() error {
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
		return fmt.Errorf("read the backups of namespaces: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path, f := filepath.Join(b.dir, e.Name()), new(backup)
		data, err := ownfile.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, f)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("read the backup of a namespace from %s: %w; remove the file if it is useless", path, err))
		case path != b.file(f.Namespace): // incomplete, as after a full disk
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

func (b *Backups) save(f *backup) error {
	data, err := json.Marshal(f)
	if err == nil {
		err = ownfile.Dir(b.dir)
	}
	if err == nil {
		err = ownfile.WriteFile(b.file(f.Namespace), data, 0o600)
	}
	f.saved = err == nil
	if err != nil {
		return fmt.Errorf("save the previous settings of namespace %s, will retry; without them the namespace keeps ofdvr's settings if it outlives its router: %w", f.Namespace, err)
	}
	return nil
}

// Names returns the names of the namespaces that have a backup.
func (b *Backups) Names() ([]string, error) {
	err := b.load()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.all)), err
}

// drop deletes the backup of a namespace.
func (b *Backups) drop(name string) error {
	if err := ownfile.Remove(b.file(name)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, name)
	return nil
}

// of returns the backup of a namespace, or nil if it has none.
func (b *Backups) of(name string) *backup {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[name]
}

// note makes a backup of the namespace, unless there is a backup. It must run in the
// namespace, before any change.
func (e *ensurer) note(lo netlink.Link) error {
	if e.dry || e.memory == nil || e.memory.backups == nil {
		return nil
	}
	b := e.memory.backups
	b.load() // Names reports files that cannot be read
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
		f = &backup{Namespace: e.d.Name, Is: id, LoopbackDown: lo.Attrs().RawFlags&unix.IFF_UP == 0 && len(addrs) == 0, Settings: make(map[string]string)}
		links, err := dump(e.inside.LinkList)
		if err != nil {
			return fmt.Errorf("list the links in namespace %s: %w", e.d.Name, err)
		}
		for _, s := range affected(links) {
			if have, err := e.sysctl.read(s.file); err == nil {
				f.Settings[s.file] = have
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

// affected returns the settings that change when [Ensure] sets the namespace's settings: those of
// the namespace and those of its links.
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

// Restore restores a namespace that outlives its router: the state of lo, and the settings that
// still have the value that [Ensure] set. It also removes our routes. At the end it deletes the
// backup. If the namespace does not exist any more, was replaced, or belongs to another instance,
// Restore only deletes the backup. It returns descriptions of its changes.
func (b *Backups) Restore(name, instance string) (changed []string, err error) {
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
		defer e.sysctl.close()
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
		return e.Changed, fmt.Errorf("restore the previous settings of namespace %s: %w", name, err)
	}
	return e.Changed, b.drop(name)
}

// unset restores the settings that still have our values. All other settings keep their values: if the
// kernel changes one of them when unset restores another, unset sets it back.
func (e *ensurer) unset(f *backup) error {
	links, err := dump(e.inside.LinkList)
	if err != nil {
		return fmt.Errorf("list its links: %w", err)
	}
	read := func(file string) (string, bool) {
		have, err := e.sysctl.read(file)
		return have, err == nil
	}
	all, want := affected(links), make(map[string]string)
	for _, s := range all {
		now, ok := read(s.file)
		was, known := f.Settings[s.file]
		switch {
		case !ok, !known: // a new link: the kernel changes its setting together with the others
		case now == s.value:
			want[s.file] = was
		default:
			want[s.file] = now
		}
	}
	var errs []error
	for _, s := range all { // the order matters: the kernel changes a setting together with an earlier one
		w, wanted := want[s.file]
		now, ok := read(s.file)
		if !wanted || !ok || now == w {
			continue
		}
		if err := e.write(procSys+s.file, w); err != nil {
			errs = append(errs, fmt.Errorf("set %s=%s: %w", strings.ReplaceAll(s.file, "/", "."), w, err))
			continue
		}
		e.did("set %s=%s in %s", strings.ReplaceAll(s.file, "/", "."), w, e.d.Name)
	}
	return errors.Join(errs...)
}

// loopbackDown sets lo down if it was down before, unless another program has added addresses.
func (e *ensurer) loopbackDown(f *backup, lo netlink.Link) error {
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
	for p, a := range addrs { // the kernel has added it when lo came up
		if err := e.inside.AddrDel(lo, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %v from lo: %w", p, err)
		}
	}
	e.did("set lo in %s down", e.d.Name)
	return nil
}
