package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ofdvr/ofdvr/controller/page"
)

// For any number of clients, one examination runs at a time, at most one a minute, and for at most
// a twentieth of the time. The headers and body of a client do not affect the answers to others.
func TestExaminationsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, running atomic.Int32
		var took atomic.Int64
		h := page.Examination(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if running.Add(1) != 1 {
				t.Error("two examinations at a time")
			}
			defer running.Add(-1)
			time.Sleep(time.Duration(took.Load())) // takes no real time: synctest's clock jumps
			if err := r.Context().Err(); err != nil || r.URL.RawQuery != "" || r.Header.Get("X") != "" || r.Method != http.MethodGet {
				t.Errorf("the API got request %s %s with headers %v and error %v", r.Method, r.URL, r.Header, err)
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "%d", made.Add(1))
		}))
		ask := func(method, query string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/v1/examination"+query, nil)
			r.Header.Set("X", "y")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		took.Store(int64(5 * time.Second))
		var g sync.WaitGroup
		for i := range 20 {
			g.Go(func() {
				method := []string{http.MethodGet, http.MethodHead}[i%2]
				if w := ask(method, fmt.Sprintf("?x=%d", i)); w.Code != http.StatusOK || w.Body.String() != "1" || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Age") != "0" {
					t.Errorf("client %d: %d %s %v", i, w.Code, w.Body, w.Header())
				}
			})
		}
		g.Wait()
		time.Sleep(99 * time.Second) // less than examineShare (20) times 5 s
		if w := ask("GET", ""); w.Body.String() != "1" || w.Header().Get("Age") != "99" {
			t.Errorf("answer 99 s later: %s, Age %s", w.Body, w.Header().Get("Age"))
		}
		time.Sleep(time.Second)
		took.Store(int64(30 * time.Second))
		g.Go(func() {
			if w := ask("GET", ""); w.Body.String() != "2" {
				t.Errorf("after 100 s: %s", w.Body)
			}
		})
		synctest.Wait()
		if w := ask("GET", ""); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("answer during a long examination: %d %s", w.Code, w.Body)
		}
		g.Wait()
		took.Store(0)
		time.Sleep(600 * time.Second)
		ask("GET", "")
		time.Sleep(59 * time.Second)
		if w := ask("GET", ""); w.Body.String() != "3" {
			t.Errorf("answer 59 s after a short examination: %s, want 3", w.Body)
		}
		time.Sleep(time.Second)
		if w := ask("GET", ""); w.Body.String() != "4" {
			t.Errorf("answer a minute after a short examination: %s, want 4", w.Body)
		}
	})
}

// An examination continues when its first client disconnects.
func TestExaminationOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := page.Examination(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			fmt.Fprint(w, r.Context().Err())
		}))
		r := httptest.NewRequest("GET", "/v1/examination", nil)
		ctx, cancel := context.WithCancel(r.Context())
		go h.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
		synctest.Wait()
		cancel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/examination", nil))
		if w.Code != http.StatusOK || w.Body.String() != "<nil>" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
