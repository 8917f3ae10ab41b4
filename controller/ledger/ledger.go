package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/routing"
)

// Config configures a [Ledger].
type Config struct {
	// Sources are the sources of the intent in order of precedence. If several sources have an
	// object, it belongs to the first of them.
	Sources []Source
	// Write is the element of Sources that receives writes. If it is nil, writes fail until
	// [Ledger.Adopt].
	Write Store
	// Complete declares that the initial contents of the host's own store are complete, even
	// if the store is not marked complete; see [Intent].
	Complete bool
	// History is the number of events that are kept for watchers. 0 means 65,536.
	History int
	Log     *zap.Logger
}

const (
	defaultHistory = 1 << 16
	maxGroup       = 4096 // writes in one transaction
	maxLogged      = 100  // quarantined objects that are logged one by one
)

// ErrNoStore is the error of writes without a store.
var ErrNoStore = errors.New("there is no store: start ofdvr serve with --state-dir")

// A StoreError means that the commit of a write has failed. The write is probably not on disk,
// but this is not certain.
type StoreError struct {
	Store string
	Err   error
}

func (e *StoreError) Error() string { return "write to " + e.Store + ": " + e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

// A Ledger maintains the intent. Create it with [Open], then call [Ledger.Run]. Its other
// methods may be called from any goroutine.
type Ledger struct {
	log     *zap.Logger
	intent  atomic.Pointer[Intent]
	history *history     // updated before intent
	writes  chan *write  // buffered, so that pending writes share a transaction
	notices chan *notice // unbuffered: senders wait for the answer anyway

	// Owned by Run.
	sources []Source
	store   Store    // the element of sources that receives writes; nil if writes fail
	stale   []*write // writes to try again after the next change of the shared store
	sent    []sent   // writes that are committed to the shared store and that it has not reported yet
	to      Reader
}

// Open loads the sources and returns a Ledger. Objects that cannot be used are quarantined.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	l := &Ledger{log: cfg.Log, sources: slices.Clone(cfg.Sources), store: cfg.Write,
		writes: make(chan *write, 256), notices: make(chan *notice)}
	s := &Intent{Index: new(routing.Index), writes: -1, home: len(l.sources) - 1, believed: cfg.Complete}
	all := make([]Contents, len(l.sources))
	for i, src := range l.sources {
		c, err := src.Load(ctx)
		if err != nil {
			return nil, err
		}
		all[i] = c
		s.Sources = append(s.Sources, read(src, &c))
		s.Revision = max(s.Revision, c.Revision)
		if cfg.Write != nil && src == Source(cfg.Write) {
			s.writes = i
		}
	}
	p := newPass(s)
	p.locate = located(all)
	for i, src := range s.Sources {
		src.strays = p.load(i, src.Name, &all[i])
	}
	p.run()
	g := group{intent: p.finish()}
	if s.File() != nil {
		g.intent.Revision++
	}
	g.intent.Layout = g.intent.Revision
	l.logQuarantined(g.intent.Quarantined())
	for _, src := range s.Sources {
		if src.Partial {
			l.log.Error("could not read a source of the intent, using the others", zap.String("source", src.Name), zap.Error(src.Err))
		}
	}
	if s.File() != nil {
		l.noteDeclared(ctx, &g, p)
	}
	l.intent.Store(g.intent)
	l.history = newHistory(cmp.Or(max(cfg.History, 0), defaultHistory), g.intent.Revision)
	return l, nil
}

// Intent returns the current intent.
func (l *Ledger) Intent() *Intent { return l.intent.Load() }

// Events returns the events of the first revision after since that has events. It also returns a
// channel that is closed when more events exist. All callers share the events, which must not be
// changed. The error is [ErrCompacted].
func (l *Ledger) Events(since uint64) ([]Event, <-chan struct{}, error) {
	return l.history.after(since)
}

// A write is an edit that waits for the ledger's goroutine.
type write struct {
	edit   Edit
	answer chan answer // capacity 1, because the client may have stopped waiting
}

type answer struct {
	Result
	err error
}

// Write applies an edit and returns when it is durable. If the edit changes nothing, Write returns
// the current intent. The error can be the edit's error, a join of [*routing.PathError]s if the
// change is invalid, a [*DeclaredError], a [*StoreError], [ErrNoStore], or ctx's error. After a
// StoreError or ctx's error, the caller does not know whether the edit was applied.
func (l *Ledger) Write(ctx context.Context, edit Edit) (Result, error) {
	w := &write{edit: edit, answer: make(chan answer, 1)}
	if err := enter(ctx, l.writes, w); err != nil {
		return Result{}, err
	}
	a, err := await(ctx, w.answer)
	return a.Result, errors.Join(err, a.err)
}

func enter[T any](ctx context.Context, queue chan<- T, w T) error {
	select {
	case queue <- w:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("submit a change of the intent: %w", context.Cause(ctx))
	}
}

func await[T any](ctx context.Context, done <-chan T) (v T, err error) {
	select {
	case v = <-done:
		return v, nil
	case <-ctx.Done():
		return v, fmt.Errorf("wait for a change of the intent: %w", context.Cause(ctx))
	}
}

// Try returns the effect that a write would have, without writing.
func (l *Ledger) Try(edit Edit) (before *Intent, r Result, err error) {
	before = l.Intent()
	g := group{intent: before.trial()}
	r, err = g.edit(edit)
	return before, r, err
}

// A Reader receives each new Intent, with the IDs of the affected routers. The next writes
// wait until the Reader returns.
type Reader interface {
	// Load makes s the intent.
	Load(s *Intent, touched []string)
}

// Run follows the sources and handles writes until ctx is done. It passes each new intent to
// the Reader.
func (l *Ledger) Run(ctx context.Context, to Reader) error {
	l.to = to
	l.note(l.Intent())
	g, ctx := errgroup.WithContext(ctx)
	follow := func(i int, since uint64) {
		src := l.sources[i]
		g.Go(func() error { return l.follow(ctx, i, src, since) })
	}
	for i, src := range l.Intent().Sources {
		follow(i, src.Revision)
	}
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case w := <-l.writes:
				l.commit(ctx, l.waiting(w))
			case t := <-l.notices:
				err := l.handle(ctx, t)
				if last := len(l.sources) - 1; t.adopt != nil && err == nil {
					follow(last, l.Intent().Sources[last].Revision)
				}
				t.answer <- err
				if t.at == l.Intent().writes {
					l.answerReported(ctx)
				}
			}
		}
	})
	return g.Wait()
}

// waiting returns w and the pending writes that follow it.
func (l *Ledger) waiting(w *write) []*write {
	ws := []*write{w}
	for len(ws) < maxGroup {
		select {
		case w := <-l.writes:
			ws = append(ws, w)
		default:
			return ws
		}
	}
	return ws
}

// commit applies writes, commits them in one transaction, publishes the new intent and answers.
func (l *Ledger) commit(ctx context.Context, ws []*write) {
	unread := l.unread(ctx)
	before := l.Intent()
	g := group{intent: before, began: time.Now()}
	done := make([]answer, len(ws))
	for i, w := range ws {
		if done[i].err = cmp.Or(unread, ErrNoStore); l.store != nil && unread == nil {
			done[i].Result, done[i].err = g.edit(w.edit)
		}
	}
	var failed error
	if g.changed {
		failed = l.save(ctx, &g)
		switch {
		case failed != nil:
		case before.Store().Role == Shared:
			l.sent = append(l.sent, sent{g.intent.Revision, ws, done})
			return
		default:
			l.publish(&g)
		}
	}
	switch half := len(ws) / 2; {
	case errors.Is(failed, ErrStale):
		l.stale = append(l.stale, ws...)
		return
	case errors.Is(failed, ErrTooLarge) && half > 0:
		l.commit(ctx, ws[:half])
		l.commit(ctx, ws[half:])
		return
	case failed != nil:
		l.log.Error("could not write to the store, the writes were refused", zap.Int("writes", len(ws)), zap.Error(failed))
		if before.Store().Role == Own {
			l.reload(ctx)
		}
	}
	for i, w := range ws {
		if failed != nil && done[i].err == nil {
			done[i] = unneeded(w.edit, failed, before, l.Intent())
		}
		w.answer <- done[i]
	}
}

// sent are writes that are committed to the shared store. They take effect when the store reports
// them, in the order of all writers' changes.
type sent struct {
	revision uint64 // of the store
	writes   []*write
	answers  []answer
}

// answerReported is called after an update of the shared store. It answers the writes that the store
// has reported, and tries stale writes again.
func (l *Ledger) answerReported(ctx context.Context) {
	s := l.Intent()
	seen := s.Sources[s.writes].Revision
	for len(l.sent) > 0 && l.sent[0].revision <= seen {
		for i, w := range l.sent[0].writes {
			a := l.sent[0].answers[i]
			a.Intent = s
			w.answer <- a
		}
		l.sent = l.sent[1:]
	}
	if ws := l.stale; len(ws) > 0 {
		l.stale = nil
		l.commit(ctx, ws)
	}
}

// unneeded answers an edit after the commit of its group has failed. If the edit changes nothing in
// any of intents, it has succeeded. Otherwise the answer is the error failed.
func unneeded(edit Edit, failed error, intents ...*Intent) (a answer) {
	for _, s := range intents {
		g := group{intent: s}
		if a.Result, a.err = g.edit(edit); a.err != nil || g.changed {
			return answer{err: failed}
		}
	}
	return a
}

// unread tries again to read a store that could not be read. If this fails, it returns an error,
// and the write must fail, because it could destroy the store's contents.
func (l *Ledger) unread(ctx context.Context) error {
	if s := l.Intent().Store(); s == nil || !s.Partial {
		return nil
	}
	l.reload(ctx)
	if s := l.Intent().Store(); s.Partial {
		return &StoreError{s.Name, fmt.Errorf("the store could not be read, so it is not written to: %w", s.Err)}
	}
	return nil
}

// publish makes g.intent the current intent.
func (l *Ledger) publish(g *group) {
	if g.part {
		l.history.restart(g.intent.Revision)
	} else {
		l.history.add(g.events, g.intent.Revision)
	}
	l.intent.Store(g.intent)
	l.to.Load(g.intent, slices.Sorted(maps.Keys(g.touched)))
	l.note(g.intent)
}

// note passes s to the sources that are [Limited].
func (l *Ledger) note(s *Intent) {
	for _, src := range l.sources {
		if p, ok := src.(Limited); ok {
			p.Note(s)
		}
	}
}

// save commits the changes of g.
func (l *Ledger) save(ctx context.Context, g *group) error {
	at, before := g.intent.writes, l.Intent()
	base := Base{Revision: g.intent.Revision, Complete: g.intent.wholeOf(at)}
	if before != nil { // nil in Open
		base.Seen, base.Index = before.Sources[at].Revision, before.Index
	}
	revision, err := l.store.Commit(ctx, base, g.changes...)
	if err != nil {
		return &StoreError{l.store.Name(), err}
	}
	if revision > g.intent.Revision || g.intent.Sources[at].Role == Shared {
		next := *g.intent
		next.Revision = revision
		g.intent = &next
	}
	return nil
}

// reload loads the store after a failed commit, because the commit may still be on disk.
func (l *Ledger) reload(ctx context.Context) {
	c, err := l.store.Load(ctx)
	if err = cmp.Or(err, c.Err); err != nil {
		l.log.Error("could not read the store, using the objects read before", zap.Error(err))
		return
	}
	l.replace(ctx, l.Intent().writes, &c)
}
