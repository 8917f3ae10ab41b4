package api

import (
	"fmt"
	"sync"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

const (
	pieceBytes = 16 << 10 // maximum size of a piece of the stream
	feedBytes  = 4 << 20  // maximum total size of the kept pieces
)

// A feed formats events once for all watchers. Its methods may be called from any
// goroutine. The zero value is ready for use.
type feed struct {
	mu     sync.Mutex
	pieces map[pieceKey]*piece
	order  []pieceKey // keys of pieces, the oldest first
	bytes  int        // of pieces
}

// A pieceKey identifies a piece by its beginning.
type pieceKey struct {
	revision uint64
	first    int    // index in the events of the revision
	kind     string // kind of the objects; "" means all kinds
}

// A piece has formatted events of one revision: all events or a part.
type piece struct {
	text []byte
	next int // index of the first event after the piece
}

// piece returns the piece that begins at event first of a revision. It has the events of one kind
// of objects, or of all kinds.
func (f *feed) piece(events []ledger.Event, first int, kind string) *piece {
	key := pieceKey{events[0].Revision, first, kind}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.pieces[key]; p != nil {
		return p
	}
	p := format(events, first, kind)
	if f.pieces == nil {
		f.pieces = make(map[pieceKey]*piece)
	}
	f.pieces[key], f.order, f.bytes = p, append(f.order, key), f.bytes+len(p.text)
	for f.bytes > feedBytes && len(f.order) > 1 {
		f.bytes -= len(f.pieces[f.order[0]].text)
		delete(f.pieces, f.order[0])
		f.order = f.order[1:]
	}
	return p
}

// format returns the piece that begins at event first.
func format(events []ledger.Event, first int, kind string) *piece {
	var b []byte
	i := first
	for ; i < len(events) && len(b) < pieceBytes; i++ {
		e := &events[i]
		last := i+1 == len(events)
		if k := e.Object.Kind.String(); kind == "" || kind == k {
			b = fmt.Appendf(b, "event: %s-%s\ndata: {\"revision\":%d,\"kind\":%q,\"id\":", k, e.Op, e.Revision, k)
			b = appendString(b, e.Object.ID)
			b = fmt.Appendf(b, ",\"op\":%q", e.Op)
			if e.Op != ledger.Deleted {
				b = append(b, `,"object":`...)
				b = appendObject(b, e)
			}
			b = append(b, "}\n"...)
			if !last {
				b = append(b, '\n')
			}
		}
		if last { // an id without data: a browser reports no event, but remembers the id
			b = fmt.Appendf(b, "id: %d\n\n", e.Revision)
		}
	}
	return &piece{text: b, next: i}
}

// appendObject appends the document of e's object.
func appendObject(b []byte, e *ledger.Event) []byte {
	switch e.Object.Kind {
	case routing.KindHost:
		return topology.AppendHost(b, e.Host)
	case routing.KindNetwork:
		return topology.AppendNetwork(b, e.Network)
	case routing.KindRouter:
		return topology.AppendRouter(b, e.Router)
	default:
		return topology.AppendPort(b, e.Port)
	}
}
