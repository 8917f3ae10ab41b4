package logging

import (
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// journalSize is how many entries are remembered.
const journalSize = 1000

// A Journal remembers the latest entries of a log, those for debugging left out.
// Its methods may be called from any goroutine.
type Journal struct {
	mu      sync.Mutex
	size    int
	entries []Entry // the latest, oldest first
	last    uint64  // sequence number of the latest entry
	changed chan struct{}
}

// An Entry is one that was logged.
type Entry struct {
	Seq     uint64 // grows by one from entry to entry, from 1
	Time    time.Time
	Level   string
	Message string
	Fields  map[string]any // of numbers, texts, booleans
}

// NewJournal returns a Journal that remembers size entries.
func NewJournal(size int) *Journal { return &Journal{size: size, changed: make(chan struct{})} }

// Since returns the remembered entries that came after the one with sequence
// number seq, oldest first, and a channel that is closed when there are more. A
// number that no entry has had yet is of another run: all are returned then.
func (j *Journal) Since(seq uint64) ([]Entry, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq > j.last {
		seq = 0
	}
	first := j.last - uint64(len(j.entries)) // the entry before them
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
