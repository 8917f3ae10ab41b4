// Package bounded serves HTTP to unknown clients. It bounds the memory and time, whatever the
// number of clients and however slowly they read.
package bounded

import (
	"net"
	"net/http"
	"sync"
)

// sendBuffer is the kernel's send buffer of a connection, in bytes.
const sendBuffer = 128 << 10

// Reasons why a client is refused or disconnected.
const (
	ReasonQueueTimeout       = "queue_timeout"        // the request waited too long for its turn
	ReasonResponseTooLarge   = "response_too_large"   // the response exceeds the limit
	ReasonTooManyClients     = "too_many_clients"     // too many requests at a time
	ReasonTooManyConnections = "too_many_connections" // too many connections are open
	ReasonReadTimeout        = "read_timeout"         // the client did not read the response
	ReasonResponseMemory     = "response_memory"      // the client read an old response slowly, and its memory was needed
	ReasonBodyTooLarge       = "body_too_large"       // the request body exceeds the limit
	ReasonBodyTimeout        = "body_timeout"         // the request body arrived too slowly
	ReasonBodyMemory         = "body_memory"          // all bodies together exceeded the limit, and this one was the slowest
)

// Connections limits the connections of a server to Most. For a new connection beyond Most, another
// is closed: the connection that has been idle the longest. If no connection is idle, it is the
// oldest. So a new client is always served. Method State is the ConnState function for an
// [http.Server].
type Connections struct {
	Most    int
	Limited func(reason string) // called for each connection that is closed; may be nil

	mu   sync.Mutex
	open map[net.Conn]use
	seq  uint64
}

// A use is the current use of a connection.
type use struct {
	active bool   // a request is being served
	since  uint64 // sequence number of the latest state change
}

// State records the new state of a connection.
func (c *Connections) State(nc net.Conn, s http.ConnState) {
	if t, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && s == http.StateNew {
		t.SetWriteBuffer(sendBuffer) // an error means that the connection is closed
	}
	if victim := c.take(nc, s); victim != nil {
		victim.Close()
		if c.Limited != nil {
			c.Limited(ReasonTooManyConnections)
		}
	}
}

// take records the state of nc and returns the connection to close, or nil.
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
		return nil // nc is already being closed
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

// before reports whether a connection with use u is closed before a connection with use o.
func (u use) before(o use) bool {
	if u.active != o.active {
		return o.active
	}
	return u.since < o.since
}
