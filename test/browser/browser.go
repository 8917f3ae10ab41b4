// Package browser opens pages of hosts of the lab in a headless Chromium, and
// controls them from a test.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Command is the name of the program, as Debian calls it.
const Command = "chromium"

// patience is the time limit of each wait for the browser.
const patience = 2 * time.Minute

// A Browser is a tab of a Chromium with its own cookies, storage and window. It
// records errors and requests.
type Browser struct {
	t   testing.TB
	ctx context.Context // chromedp's
	url string          // URL of the address that it was started for

	mu       sync.Mutex
	requests []string // URLs
	errors   []string // errors of the console and of scripts, and violations of the page's policy
}

// Start opens a tab with a window of the given size. The tab is closed when the test ends. It
// reaches only the given address of h, under the result of URL. Without Chromium, the test is
// skipped, or fails with CI=true.
func Start(t testing.TB, h *lab.Host, addr string, width, height int) *Browser {
	t.Helper()
	lab.Needs(t, Command)
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	near := c.address(netip.MustParseAddrPort(addr).Port())
	forward(t, c.host, near, h, addr)
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &Browser{t: t, ctx: ctx, url: "http://" + near + "/"}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("open a tab of Chromium: %v", err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatalf("record the page's requests: %v", err)
	}
	// Each tab behaves as if its window had the focus.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatalf("emulate the focus: %v", err)
	}
	b.Do("set the size of the window", chromedp.EmulateViewport(int64(width), int64(height)))
	return b
}

// URL returns the URL under which the tab reaches the host's address, with a slash
// at the end.
func (b *Browser) URL() string { return b.url }

// forward listens on the address near of Chromium's host, and forwards connections
// to an address of h.
func forward(t testing.TB, chromium *lab.Host, near string, h *lab.Host, addr string) {
	t.Helper()
	ln, err := chromium.ListenIn(t.Context(), "", "tcp", near)
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		ln.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() { join(ctx, h, near, addr) })
		}
	})
}

// join relays data between a connection and an address of the host until either end
// closes or ctx is done.
func join(ctx context.Context, h *lab.Host, near net.Conn, addr string) {
	defer near.Close()
	far, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return // ignore the error: the browser sees that no server listens
	}
	end := func() { near.Close(); far.Close() }
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var ways sync.WaitGroup
	ways.Go(func() { defer end(); io.Copy(far, near) })
	ways.Go(func() { defer end(); io.Copy(near, far) })
	ways.Wait()
}

// hear records an event of the browser.
func (b *Browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var text []string
			for _, a := range e.Args {
				text = append(text, string(a.Value)+a.Description)
			}
			b.errors = append(b.errors, "console: "+strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.errors = append(b.errors, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// Requests returns the URLs of all requests so far.
func (b *Browser) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// Errors returns the errors and warnings recorded since the last call.
func (b *Browser) Errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.errors
	b.errors = nil
	return out
}

// Do runs actions, and fails the test if one fails.
func (b *Browser) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Eval returns the value of an expression. It awaits a promise.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := eval[T](b, expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func eval[T any](b *Browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Until waits until an expression is true. If it does not become true, the test
// fails with the page's text.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	err := lab.Await(ctx, expression, func() error {
		ok, err := eval[bool](b, "!!("+expression+")")
		if err == nil && !ok {
			err = errors.New("it is false")
		}
		return err
	})
	if err != nil {
		text, _ := eval[string](b, "document.body.innerText")
		b.t.Fatalf("%v\nerrors: %q\nthe page: %s", err, b.Errors(), text)
	}
}

// Click clicks at a point of the window.
func (b *Browser) Click(x, y float64) {
	b.t.Helper()
	b.Do("click", chromedp.MouseClickXY(x, y))
}

// Screenshot returns the window as a PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take a screenshot: %v", err)
	}
	return png
}

// Open opens a page.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Do("open "+url, chromedp.Navigate(url))
}
