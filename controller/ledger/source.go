package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// A Source has a part of the intent. It is a file, an embedded store, or a store that other hosts
// also write to. It is loaded once and then reports its changes.
type Source interface {
	// Name is the source's name in messages, such as a file name.
	Name() string
	// Role is the source's role on this host. It does not change.
	Role() Role
	// Load returns all objects of the source, including objects that cannot be read. The error
	// is ctx's error, or an error that prevents the daemon from starting.
	Load(ctx context.Context) (Contents, error)
	// Follow calls report for each change after revision since, in order, until ctx is done or
	// report returns an error. The changes may include commits of the ledger itself. If the changes
	// are no longer available, the error is [ErrCompacted], and the ledger loads the source again.
	//
	// compare is for a source that has complete versions instead of changes. It returns the change
	// from the source's last reported version to a model. Its error is like the error of
	// [routing.Model.Validate], but also considers the other sources.
	Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), report func(Update) error) error
}

// A Store is a Source that can be written to.
type Store interface {
	Source
	// Commit makes changes durable, in order, all of them or none, and returns the store's
	// revision after them. The revision of a store of role [Own] is not less than b.Revision. If
	// the error is nil the changes are on disk. After any error except [ErrStale],
	// [ErrTooLarge] and [ErrForbidden] the changes may also be on disk, so the ledger loads a store of role Own
	// again. Commit is called by one goroutine at a time.
	Commit(ctx context.Context, b Base, changes ...routing.Change) (revision uint64, err error)
	// ReadOnly returns the reason why the store cannot be written to, or nil.
	ReadOnly() error
}

// A Base is the intent on which changes are based.
type Base struct {
	Revision uint64         // revision of the intent after the changes
	Complete bool           // the store has all objects after the changes, see [Intent]
	Seen     uint64         // revision of the store that the intent before the changes includes
	Index    *routing.Index // the intent before the changes
}

// Errors of [Store.Commit] of a shared store.
var (
	// ErrStale means that another writer has changed objects on which the changes depend, and that
	// nothing was written. The source reports the other change. Then the ledger tries again.
	ErrStale = errors.New("another writer was faster")
	// ErrTooLarge means that the changes are too large for one transaction, and that nothing was
	// written.
	ErrTooLarge = errors.New("the change is too large for one transaction")
	// ErrForbidden means that this host may not write, and that nothing was written.
	ErrForbidden = errors.New("this host may not change the shared intent")
)

// A Limited source has only the part of a store that this host needs.
type Limited interface {
	// Note receives each intent, also the first. It must not block.
	Note(*Intent)
	// Hold adds the ports that a request needs to the intent, and keeps them until release is
	// called. After an error there is nothing to release.
	Hold(context.Context, Need) (release func(), err error)
}

// A Need is the ports that a request needs.
type Need struct {
	Networks []string // IDs; the ports on them
	Ports    []string // IDs; with all ports on their networks
	All      bool     // all ports
}

// A Role is the role of a [Source] on this host.
type Role uint8

const (
	// Own is the host's own store, without other writers.
	Own Role = iota
	// Declared is a source that people edit, such as a file. It has complete versions. A version
	// with a mistake is not used at all. If the host's own store can be written to, the source's
	// objects are deleted from it.
	Declared
	// Shared is a store with other writers. This host deletes objects from it only at a
	// client's request.
	Shared
)

// Contents has all objects of a [Source].
type Contents struct {
	Revision uint64 // 0 if the source has no revisions
	Complete bool   // no object is missing, see [Intent]
	Loaded   time.Time
	Model    *routing.Model // must not be changed afterwards
	Warnings []string
	// Span is the part of the intent that this host needs; nil means everything. Loading means that
	// objects of this part are missing yet, so nothing is removed.
	Span    *routing.Span
	Loading bool

	// Unusable has the objects that cannot be read.
	Unusable []Unusable
	// Err is the reason why the source could not be read completely. It is nil if all objects were
	// read, except the Unusable objects.
	Err error
	// Locate adds the position in the source to a validation error of Model. It is nil if the
	// source has no positions. It is not called after loading.
	Locate func(*routing.PathError) error
}

// An Update is a change of a [Source].
type Update struct {
	Revision uint64         // revision of the source after the change; 0 if the source has no revisions
	Change   routing.Change // the change, which also puts objects that have become readable
	Unusable []Unusable     // objects that were put but cannot be read

	Complete bool      // no object is missing, see [Intent]
	Loaded   time.Time // time at which it was read
	Warnings []string  // all current warnings
	// Part means that the source has loaded or dropped objects because this host needs another part
	// of a store. They were not created or deleted, so watchers must list everything again.
	Part    bool
	Span    *routing.Span // see [Contents]
	Loading bool          // see [Contents]
	// Err is the reason why the latest version is unknown or not used. If it is not nil, the other
	// fields are ignored.
	Err error
}

// An Unusable object cannot be read.
type Unusable struct {
	Object Object // the ID is "" if the ID cannot be read either
	Err    error
}

// A notice is a change that a source reports, or a store to adopt. It waits for the ledger's
// goroutine.
type notice struct {
	source Source
	at     int // index of source
	update *Update
	all    *Contents // all objects of the source, instead of the field update
	adopt  Store
	answer chan error // capacity 1, because the sender may have stopped waiting
}

func (l *Ledger) notify(ctx context.Context, t notice) error {
	t.answer = make(chan error, 1)
	if err := enter(ctx, l.notices, &t); err != nil {
		return err
	}
	err, waitErr := await(ctx, t.answer)
	if waitErr != nil {
		return waitErr
	}
	return err
}

// follow passes the changes of source i after a revision to the ledger's goroutine. If changes are
// missing, it loads the source again.
func (l *Ledger) follow(ctx context.Context, i int, src Source, since uint64) error {
	compare := func(m *routing.Model) (routing.Change, error) {
		s := l.Intent()
		c := s.changes(i, m)
		return c, s.Index.Check(routing.Change{Put: *m, Delete: s.vanishing(c.Delete)})
	}
	for {
		err := src.Follow(ctx, since, compare, func(u Update) error {
			return l.notify(ctx, notice{source: src, at: i, update: &u})
		})
		if !errors.Is(err, ErrCompacted) {
			return err
		}
		c, err := src.Load(ctx)
		if err != nil {
			return err
		}
		if err := l.notify(ctx, notice{source: src, at: i, all: &c}); err != nil {
			return err
		}
		since = c.Revision
	}
}
