package logging

import (
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// journalSize is the number of entries that a Log keeps.
const journalSize = 1000

// A Journal keeps the latest entries of a log, except debug entries. Its methods may be
// called from any goroutine.
type Journal struct {
	mu      sync.Mutex
	size    int
	entries []Entry // the latest, oldest first
	last    uint64  // sequence number of the latest entry
	changed chan struct{}
}

// An Entry is a log entry.
type Entry struct {
	Seq     uint64 // increases by one with each entry, from 1
	Time    time.Time
	Level   string
	Message string
	Fields  map[string]any // numbers, strings and booleans
}

// Age returns the time since the entry was made.
func (e Entry) Age() time.Duration { return time.Since(e.Time) }

// NewJournal returns a Journal that keeps size entries.
func NewJournal(size int) *Journal { return &Journal{size: size, changed: make(chan struct{})} }

// Since returns the entries after sequence number seq, the oldest first, and a channel that is
// closed when a new entry comes. If no entry has had that number yet, the number is from another
// run, and all entries are returned.
func (j *Journal) Since(seq uint64) ([]Entry, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq > j.last {
		seq = 0
	}
	first := j.last - uint64(len(j.entries)) // the number before the first entry
	n := uint64(0)
	if seq > first {
		n = min(seq-first, uint64(len(j.entries)))
	}
	return append([]Entry(nil), j.entries[n:]...), j.changed
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.Seq = j.last
	if len(j.entries) == j.size {
		j.entries = append(j.entries[:0], j.entries[1:]...)
	}
	j.entries = append(j.entries, e)
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *Journal) core() zapcore.Core { return journalCore{zapcore.InfoLevel, j, nil} }

// A journalCore writes to a Journal.
type journalCore struct {
	zapcore.LevelEnabler
	journal *Journal
	with    []zapcore.Field
}

func (c journalCore) With(fields []zapcore.Field) zapcore.Core {
	c.with = append(c.with[:len(c.with):len(c.with)], fields...)
	return c
}

func (c journalCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c journalCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range c.with {
		f.AddTo(enc)
	}
	for _, f := range fields {
		f.AddTo(enc)
	}
	for key, v := range enc.Fields {
		if d, ok := v.(time.Duration); ok {
			enc.Fields[key] = d.String()
		}
	}
	c.journal.add(Entry{Time: e.Time, Level: e.Level.String(), Message: e.Message, Fields: enc.Fields})
	return nil
}

func (journalCore) Sync() error { return nil }
