// Package browser runs a headless Chromium on a host of the lab, where it reaches
// what the host's own browsers would, and drives it from a test.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Command is the name of the program, as Debian calls it.
const Command = "chromium"

// patience is how long anything in the browser may take before the test gives
// up.
const patience = 30 * time.Second

// A Browser is a Chromium with one page. What it says of errors and where it
// sends requests is kept.
type Browser struct {
	t   testing.TB
	ctx context.Context // chromedp's

	mu       sync.Mutex
	requests []string // URLs
	errors   []string // of the console, of scripts, and violations of the page's policy
}

// netns is the browser's own network namespace on its host. Chromium gives up
// what it is loading when an interface comes or goes, as they do on a host of
// machines; in there nothing does.
const netns = "browser"

// Start starts a browser on h with a window of the given size, to run until the
// test ends. Of the host it reaches the given address, and of the world nothing.
// Without Chromium the test is skipped, or with CI=true fails.
func Start(t testing.TB, h *lab.Host, addr string, width, height int) *Browser {
	t.Helper()
	lab.Needs(t, Command)
	if _, err := h.Run(t.Context(), "sh", "-ec", `ip netns add "$0"; ip -n "$0" link set lo up`, netns); err != nil {
		t.Fatal(err)
	}
	forward(t, h, addr)
	dir := filepath.Join(h.Dir(), "chromium")
	var said strings.Builder
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(Command), chromedp.UserDataDir(dir), chromedp.CombinedOutput(&said), chromedp.NoSandbox, chromedp.DisableGPU, // there is none, and root has no sandbox
		chromedp.WindowSize(width, height), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("disable-component-update", true),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { // it is driven by pipes, which lead out of the host
			inside := h.CommandIn(context.Background(), netns, cmd.Path, cmd.Args[1:]...)
			cmd.Path, cmd.Args = inside.Path, inside.Args
		}))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancel() }) // an error means that it has ended
	b := &Browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start Chromium: %v\n%s", err, said.String())
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatalf("hear what the page asks for: %v", err)
	}
	b.Do("set the size of the window", chromedp.EmulateViewport(int64(width), int64(height)))
	return b
}

// forward lets the browser reach an address of the host under the same address.
func forward(t testing.TB, h *lab.Host, addr string) {
	t.Helper()
	ln, err := h.ListenIn(t.Context(), netns, "tcp", addr)
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

// join carries what is sent between a connection and an address of the host, until
// either end or ctx is done.
func join(ctx context.Context, h *lab.Host, near net.Conn, addr string) {
	defer near.Close()
	far, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return // nobody is there, as the browser will see
	}
	end := func() { near.Close(); far.Close() }
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var ways sync.WaitGroup
	ways.Go(func() { defer end(); io.Copy(far, near) })
	ways.Go(func() { defer end(); io.Copy(near, far) })
	ways.Wait()
}

// hear keeps what the browser tells.
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

// Requests returns the URLs that have been asked for.
func (b *Browser) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// Errors returns what the console has shown of errors and warnings, and forgets
// it.
func (b *Browser) Errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.errors
	b.errors = nil
	return out
}

// Do carries out actions and fails the test if that is impossible.
func (b *Browser) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Eval returns the value of an expression, which is awaited if it is a promise.
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

// Until waits until an expression is true. When it does not become so, the test
// fails with what the page says.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	err := lab.Await(ctx, expression, func() error {
		ok, err := eval[bool](b, "!!("+expression+")")
		if err == nil && !ok {
			err = errors.New("it is not so")
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
