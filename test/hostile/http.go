package hostile

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Request writes the header of a request. length is the length of its body, if any.
func Request(nc net.Conn, method, path string, length int) {
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n", method, path)
	if length > 0 {
		fmt.Fprintf(nc, "Content-Length: %d\r\n", length)
	}
	io.WriteString(nc, "\r\n")
}

// Watch requests a watch, and does not read the answer.
func Watch(nc net.Conn) { Request(nc, http.MethodGet, "/v1/watch", 0) }

// AskForFlows requests all flows of router r1, and does not read them.
func AskForFlows(nc net.Conn) { Request(nc, http.MethodGet, "/v1/routers/r1/flows", 0) }

// BeginBody starts a PATCH with a body of 30 MB, and sends only the first bytes.
func BeginBody(nc net.Conn, first int) {
	Request(nc, http.MethodPatch, "/v1/topology", 30_000_000)
	io.WriteString(nc, strings.Repeat(" ", first))
}

// LargeBody returns a PATCH of about size bytes that puts ports on a network.
func LargeBody(network string, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"put":{"ports":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"p%d","network":%q,"mac":"02:00:%02x:%02x:%02x:%02x","addresses":["10.%d.%d.%d"]}`, i, network, i>>24, i>>16&0xff, i>>8&0xff, i&0xff, i>>16, i>>8&0xff, i&0xff)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}
