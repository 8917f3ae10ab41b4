package ledger

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
)

// A Source has a part of the intent: a file, an embedded store, or one that
// others write to as well. It tells all that it has, and then what it has come to
// be whenever that changes.
type Source interface {
	// Name is for messages, such as that of a file.
	Name() string
	// Load returns everything of the source that can be read, and what cannot be.
	// The error is that of ctx.
	Load(ctx context.Context) (Contents, error)
	// Follow tells everything that the source has whenever somebody else than the
	// ledger has changed it, or why that is not known, until ctx is done or tell
	// returns an error. check says what is wrong with a model, in view of what there is
	// besides; it returns what [routing.Model.Validate] does. A source that knows
	// where something is written says where.
	Follow(ctx context.Context, check func(*routing.Model) error, tell func(Contents, error) error) error
}

// A Store is a Source that can be written to.
type Store interface {
	Source
	// Commit makes changes, one after the other and all of them or none, and a
	// new revision durable. When it returns nil they are on disk. After an error
	// the ledger loads again, because it does not know what is there. It is called
	// by one goroutine at a time.
	Commit(revision uint64, complete bool, changes ...routing.Change) error
	// ReadOnly returns why nothing can be written, nil if it can.
	ReadOnly() error
}

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

// An Unusable object cannot be read.
type Unusable struct {
	Object Object // its ID is "" if that cannot be read either
	Err    error
}

// declares returns the IDs of the objects that c has, usable or not.
func (c *Contents) declares() declared {
	d := declares(c.Model)
	for _, u := range c.Unusable {
		if u.Object.ID != "" {
			d[u.Object] = true
		}
	}
	return d
}

// tidings are what a source has told, or a store to be adopted, and wait for
// their turn.
type tidings struct {
	file   *Contents // that the file has now
	err    error     // why that is not known
	stored *Contents // that the store has now
	adopt  Store
	answer chan error // capacity 1: nobody may wait for it any more
}

func (l *Ledger) tell(ctx context.Context, t *tidings) error {
	t.answer = make(chan error, 1)
	if err := enter(ctx, l.tidings, t); err != nil {
		return err
	}
	err, waitErr := await(ctx, t.answer)
	if waitErr != nil {
		return waitErr
	}
	return err
}

// Adopt makes what store has the intent, together with what the file declares,
// and has writes go there.
func (l *Ledger) Adopt(ctx context.Context, store Store) error {
	return l.tell(ctx, &tidings{adopt: store})
}

// checkFile says why m cannot be what the file declares.
func (l *Ledger) checkFile(m *routing.Model) error { return l.State().checkFile(m) }

func (s *State) checkFile(m *routing.Model) error {
	return s.Index.Check(routing.Change{Put: *m, Delete: s.declared.without(declares(m))})
}

// followFile takes in what the file has come to be. A version with mistakes
// changes nothing but the state of the source.
func (l *Ledger) followFile(ctx context.Context) error {
	return l.cfg.File.Follow(ctx, l.checkFile, func(c Contents, err error) error {
		if err == nil {
			err = l.tell(ctx, &tidings{file: &c})
		}
		if err == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.log.Error("did not take in the topology, the old one stays", zap.String("file", l.cfg.File.Name()), zap.Error(err))
		return l.tell(ctx, &tidings{err: err})
	})
}

// followStore takes in what others have made of the store.
func (l *Ledger) followStore(ctx context.Context, store Store) error {
	return store.Follow(ctx, (*routing.Model).Validate, func(c Contents, err error) error {
		if err == nil {
			err = l.tell(ctx, &tidings{stored: &c})
		}
		if err != nil && ctx.Err() == nil {
			l.log.Error("could not take in what the store has, going on with what is known", zap.String("store", store.Name()), zap.Error(err))
		}
		return context.Cause(ctx)
	})
}

// takeIn carries out what t is about.
func (l *Ledger) takeIn(t *tidings) error {
	now := l.State()
	switch {
	case t.adopt != nil:
		before := l.cfg.Store
		l.cfg.Store = t.adopt
		s, err := l.open(context.Background(), l.file)
		if err != nil {
			l.cfg.Store = before
			return err
		}
		l.replace(s)
	case t.stored != nil:
		l.restore(*t.stored)
	case t.err != nil:
		s, file := *now, *now.File
		file.Err = t.err
		s.File = &file
		l.become(&group{state: &s})
	default:
		g := group{state: now, began: time.Now()}
		if err := g.declare(l.cfg.File.Name(), t.file); err != nil {
			return err
		}
		l.saveFile(&g)
		l.file = t.file
		l.become(&g)
	}
	return nil
}

// saveFile notes the new revision, and that the store's copies of what the file
// declares are gone. The intent does not depend on it: the file is durable by
// itself.
func (l *Ledger) saveFile(g *group) {
	if l.cfg.Store == nil || l.cfg.Store.ReadOnly() != nil {
		return
	}
	if err := l.save(g); err != nil {
		l.log.Warn("could not note in the store that the file was read", zap.Error(err))
	}
}

// restore makes c what the store has.
func (l *Ledger) restore(c Contents) {
	now := l.State()
	s, _ := l.join(l.file, &c)
	s.File = now.File // which may have a newer version, with mistakes
	s.settle()
	s.Revision = max(s.Revision, now.Revision)
	if d := difference(now.Index, s.Index); d.Len() > 0 || now.Complete != s.Complete || now.Whole != s.Whole ||
		len(now.Quarantined)+len(s.Quarantined) > 0 || now.Store.Partial != s.Store.Partial {
		l.replace(s)
	}
}
