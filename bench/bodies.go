package main

import (
	"io"
	"net"
	"net/http"
	"time"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// rest reads nc until it is closed.
func rest(nc net.Conn) { io.Copy(io.Discard, nc) }

// trickleBody sends a byte of a body each second, until the connection is closed.
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

// sendBody sends a PATCH with a body, and reads the reply.
func sendBody(nc net.Conn, body []byte) {
	hostile.Request(nc, http.MethodPatch, "/v1/topology", len(body))
	go nc.Write(body)
	rest(nc)
}
