// Package bounded serves HTTP to clients that are not known, at a cost in memory
// and time that depends neither on how many they are nor on how slowly they read.
package bounded

import (
	"net"
	"net/http"
	"sync"
)

// sendBuffer is how many bytes the kernel keeps for a client that does not read.
const sendBuffer = 128 << 10

// Reasons for which a client is refused or disconnected.
const (
	ReasonBusy        = "queue_timeout"        // its request did not get its turn
	ReasonTooLarge    = "response_too_large"   // its answer would be
	ReasonClients     = "too_many_clients"     // too many at a time
	ReasonConnections = "too_many_connections" // too many are open
	ReasonSlow        = "read_timeout"         // it does not read
	ReasonNoRoom      = "response_memory"      // it reads an old answer, and there is no room for the next
	ReasonLongBody    = "body_too_large"       // the body of its request is too long
	ReasonSlowBody    = "body_timeout"         // the body came too slowly
	ReasonBodies      = "body_memory"          // the bodies of all are too long, and its came slowest
)

// Connections bounds the connections of a server: a new one beyond Most closes
// the one that has been idle longest or, if all are in use, the oldest. So a
// client that has just come is always served. Its method State is an
// [http.Server]'s ConnState.
type Connections struct {
	Most    int
	Limited func(reason string) // is called for each that is closed; nil: nothing is

	mu   sync.Mutex
	open map[net.Conn]use
	seq  uint64
}

// A use is what a connection does.
type use struct {
	active bool   // a request is being answered
	since  uint64 // a number that grows with time
}

// State takes note of what a connection does now.
func (c *Connections) State(nc net.Conn, s http.ConnState) {
	if t, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && s == http.StateNew {
		t.SetWriteBuffer(sendBuffer) // an error means that it is closed
	}
	if victim := c.take(nc, s); victim != nil {
		victim.Close()
		if c.Limited != nil {
			c.Limited(ReasonConnections)
		}
	}
}

// take returns the connection to close, if there is one.
func (c *Connections) take(nc net.Conn, s http.ConnState) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	u := use{s == http.StateActive, c.seq}
	_, known := c.open[nc]
	switch {
	case s == http.StateClosed || s == http.StateHijacked:
		delete(c.open, nc)
		return nil
	case known:
		c.open[nc] = u
		return nil
	case s != http.StateNew:
		return nil // it is being closed
	}
	if len(c.open) >= c.Most {
		var least use
		for other, o := range c.open {
			if victim == nil || o.before(least) {
				victim, least = other, o
			}
		}
		delete(c.open, victim)
	}
	if c.open == nil {
		c.open = make(map[net.Conn]use)
	}
	c.open[nc] = u
	return victim
}

// before reports whether a connection with u is closed before one with o.
func (u use) before(o use) bool {
	if u.active != o.active {
		return o.active
	}
	return u.since < o.since
}
