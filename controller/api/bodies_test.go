package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// All bodies together have so much memory. When that is used up, those that came slowest
// make room, and a client that sends a body at once is served.
func TestSlowestBodiesMakeRoom(t *testing.T) {
	s := filled(t)
	part := strings.Repeat(" ", 20<<20)
	answers := make(chan int, 10)
	for range cap(answers) { // more than 128 MiB
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprintf(nc, "PATCH /v1/topology HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 30<<20)
		go func() { // ends with the connection
			nc.Write([]byte(part)) // and no more
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				return // closed at the end of the test
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	select {
	case status := <-answers:
		if status != http.StatusServiceUnavailable {
			t.Errorf("the answer is %d", status)
		}
	case <-time.After(25 * time.Second): // sooner than their own time is up
		t.Error("nobody made room")
	}
	body := `{"put":{"ports":[` + strings.Repeat(" ", 24<<20) + `]}}`
	s.must(200, "PATCH", "/v1/topology", body)
}
