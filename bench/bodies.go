package main

import (
	"io"
	"net"
	"net/http"
	"time"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// rest reads nc until the other end, or another goroutine, closes it.
func rest(nc net.Conn) { io.Copy(io.Discard, nc) }

// trickleBody sends a body of which a byte comes each second, until the connection ends.
func trickleBody(nc net.Conn) {
	hostile.BeginBody(nc, 0)
	gone := make(chan struct{})
	go func() {
		rest(nc)
		close(gone)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
			nc.Write([]byte(" "))
		}
	}
}

// sendBody sends a PATCH with a body, and reads the answer.
func sendBody(nc net.Conn, body []byte) {
	hostile.Request(nc, http.MethodPatch, "/v1/topology", len(body))
	go nc.Write(body)
	rest(nc)
}
