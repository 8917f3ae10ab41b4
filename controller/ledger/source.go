package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// A Source has a part of the intent: a file, an embedded store, or one that other
// hosts write to as well. It is loaded once, and from then on it tells what changes.
type Source interface {
	// Name is for messages, such as that of a file.
	Name() string
	// Role says what the source is to this host. It does not change.
	Role() Role
	// Load returns everything of the source that can be read, and what cannot be.
	// The error is that of ctx, or one after which the daemon cannot start.
	Load(ctx context.Context) (Contents, error)
	// Follow calls tell for each change after a revision, in order, until ctx is done
	// or tell returns an error. Changes that the ledger has committed may be among
	// them. The error is [ErrCompacted] if the changes are not known any more: then the
	// source is loaded again.
	//
	// compare is for a source that has versions and no changes. It returns how a
	// model differs from what the source has told, which is what to tell, and what is
	// wrong with it in view of the other sources, as [routing.Model.Validate] does.
	Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), tell func(Update) error) error
}

// A Store is a Source that can be written to.
type Store interface {
	Source
	// Commit makes changes, one after the other and all of them or none, durable,
	// and returns the revision that the store has given them. A store of role [Own]
	// gives no less than least. When the error is nil they are on disk. After an error
	// the ledger loads again, because it does not know what is there. It is called by
	// one goroutine at a time.
	Commit(ctx context.Context, least uint64, complete bool, changes ...routing.Change) (revision uint64, err error)
	// ReadOnly returns why nothing can be written, nil if it can.
	ReadOnly() error
}

// A Role is what a [Source] is to this host.
type Role uint8

const (
	// Own is the host's own store, which nobody else writes to.
	Own Role = iota
	// Declared is what people write elsewhere, such as a file. It has versions, of
	// which one with a mistake is not used at all. What it has is deleted from the
	// host's own store, if that is written to.
	Declared
	// Shared is a store that others write to as well. This host deletes nothing from it
	// unless a client says so.
	Shared
)

// Contents are what a [Source] has.
type Contents struct {
	Revision uint64 // 0 if it does not count them
	Complete bool   // nothing is missing, see [State]
	Loaded   time.Time
	Model    *routing.Model // it is not changed afterwards, by anyone
	Warnings []string

	// Unusable are the objects that cannot be read.
	Unusable []Unusable
	// Err is why the source could not be read, or not all of it besides Unusable; nil
	// if it could.
	Err error
	// Locate returns a mistake in Model with its place in the source; nil: the source
	// knows no places. It is not called after the source was loaded.
	Locate func(*routing.PathError) error
}

// An Update is what has changed in a [Source].
type Update struct {
	Revision uint64         // of the source after it; 0 if it does not count them
	Change   routing.Change // of what it has; an object that was unusable is put if it can be read now
	Unusable []Unusable     // objects that were put and cannot be read

	Complete bool      // nothing is missing, see [State]
	Loaded   time.Time // when it was read
	Warnings []string  // all that there are now
	// Err is why the latest version is not known or not used; then all but Err is
	// as it was before.
	Err error
}

// An Unusable object cannot be read.
type Unusable struct {
	Object Object // its ID is "" if that cannot be read either
	Err    error
}

// tidings are what a source has told, or a store to be adopted, and wait for
// their turn.
type tidings struct {
	source Source
	at     int // its index
	update *Update
	all    *Contents // in place of an update: all that the source has now
	adopt  Store
	answer chan error // capacity 1: nobody may wait for it any more
}

func (l *Ledger) tell(ctx context.Context, t tidings) error {
	t.answer = make(chan error, 1)
	if err := enter(ctx, l.tidings, &t); err != nil {
		return err
	}
	err, waitErr := await(ctx, t.answer)
	if waitErr != nil {
		return waitErr
	}
	return err
}

// follow hands the ledger's goroutine what changes in source i after a revision.
// After a gap the source is loaded again.
func (l *Ledger) follow(ctx context.Context, i int, src Source, since uint64) error {
	compare := func(m *routing.Model) (routing.Change, error) {
		s := l.State()
		c := s.changes(i, m)
		return c, s.Index.Check(routing.Change{Put: *m, Delete: s.vanishing(c.Delete)})
	}
	for {
		err := src.Follow(ctx, since, compare, func(u Update) error {
			return l.tell(ctx, tidings{source: src, at: i, update: &u})
		})
		if !errors.Is(err, ErrCompacted) {
			return err
		}
		c, err := src.Load(ctx)
		if err != nil {
			return err
		}
		if err := l.tell(ctx, tidings{source: src, at: i, all: &c}); err != nil {
			return err
		}
		since = c.Revision
	}
}
