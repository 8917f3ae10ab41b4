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

// The memory of all bodies is bounded. When it is used up, the slowest bodies are refused, and a
// fast client is still served.
func TestSlowestBodiesMakeRoom(t *testing.T) {
	s := filled(t)
	part := strings.Repeat(" ", 20<<20)
	answers := make(chan int, 10)
	for range cap(answers) { // together more than 128 MiB
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprintf(nc, "PATCH /v1/topology HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 30<<20)
		go func() { // returns when the connection ends
			nc.Write([]byte(part)) // the rest never arrives
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
	case <-time.After(25 * time.Second): // less than the time limit of each body
		t.Error("no slow body was refused")
	}
	body := `{"put":{"ports":[` + strings.Repeat(" ", 24<<20) + `]}}`
	s.must(200, "PATCH", "/v1/topology", body)
}
