package ledger

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
)

// A File is a version of the topology file.
type File struct {
	Name     string
	Loaded   time.Time
	Model    *routing.Model // it is not changed afterwards, by anyone
	Warnings []string
}

// A version of the file waits for its turn; so does why it could not be read, or
// a store.
type version struct {
	file   *File
	err    error
	store  Store
	answer chan error // capacity 1: nobody may wait for it any more
}

// Declare makes file what the file declares. Objects that the store has and the
// file declares are the file's from then on. Errors are a join of
// [*routing.PathError]s, with paths in the file's Model, if that does not fit to
// what there is besides, or that of ctx.
func (l *Ledger) Declare(ctx context.Context, file *File) error {
	return l.enterFile(ctx, &version{file: file})
}

// DeclareFailed notes why a newer version of the file could not be taken in. The
// old one stays.
func (l *Ledger) DeclareFailed(ctx context.Context, err error) error {
	return l.enterFile(ctx, &version{err: err})
}

// Adopt makes what store has the intent, together with what the file declares,
// and has writes go there.
func (l *Ledger) Adopt(ctx context.Context, store Store) error {
	return l.enterFile(ctx, &version{store: store})
}

func (l *Ledger) enterFile(ctx context.Context, v *version) error {
	v.answer = make(chan error, 1)
	if err := enter(ctx, l.files, v); err != nil {
		return err
	}
	err, waitErr := await(ctx, v.answer)
	if waitErr != nil {
		return waitErr
	}
	return err
}

// CheckFile says why m cannot be what the file declares, as [Ledger.Declare]
// does.
func (l *Ledger) CheckFile(m *routing.Model) error {
	s := l.State()
	return s.Index.Check(routing.Change{Put: *m, Delete: s.declared.without(declares(m))})
}

// declare carries out what v asks for.
func (l *Ledger) declare(v *version) error {
	g := group{state: l.State()}
	if v.store != nil {
		l.cfg.Store = v.store
		s, err := l.open(nil, l.file)
		if err != nil {
			return err
		}
		l.replace(s)
		return nil
	}
	if v.err != nil {
		s := *g.state
		file := *s.File
		file.Err = v.err
		s.File = &file
		g.state = &s
		l.become(&g)
		return nil
	}
	if err := g.declare(v.file, l.file); err != nil {
		return err
	}
	l.saveFile(&g)
	l.file = v.file
	l.become(&g)
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
