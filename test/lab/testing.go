package lab

import (
	"context"
	"testing"
	"time"
)

// Boot returns a host, like [Bare], with a running Open vSwitch and an empty
// integration bridge.
func Boot(t testing.TB) *Host {
	t.Helper()
	h := Bare(t)
	if err := h.StartOVS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.AddBridge(t.Context(), IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	return h
}

// Bare returns a host on which nothing runs yet. When the test ends, the host is closed. If
// the test failed, its log has the host's state. If the machine cannot run the lab, the test
// is skipped; see [Require].
func Bare(t testing.TB) *Host {
	t.Helper()
	Require(t)
	h, err := NewHost(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closeWith(t, h)
	return h
}

// Connect makes an underlay with the given MTU (0 means 1500), and connects hosts to it as its
// hosts 1, 2 and so on. The underlay is closed when the test ends.
func Connect(t testing.TB, mtu int, hosts ...*Host) (*Underlay, []*Link) {
	t.Helper()
	Require(t)
	u, err := NewUnderlay(t.Context(), t.TempDir(), mtu)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	var links []*Link
	for i, h := range hosts {
		l, err := u.Connect(t.Context(), h, i+1)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	return u, links
}

// closeWith closes the host when the test ends.
func closeWith(t testing.TB, h *Host) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			t.Logf("the host after the test failed:\n%s", h.Report(ctx))
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A test that expects other results in some environments calls Differs. If so is true, it logs
// "differs here: " and the text how, which docs/compatibility.md quotes. It returns so.
func Differs(t testing.TB, so bool, how string) bool {
	t.Helper()
	if so {
		t.Logf("differs here: %s", how)
	}
	return so
}

// OnKernel is [Differs] for the kernel's [Datapath].
func OnKernel(t testing.TB, how string) bool {
	t.Helper()
	return Differs(t, Datapath() == Kernel, how)
}

// Plug adds a machine to the host.
func Plug(t testing.TB, h *Host, c MachineConfig) *Machine {
	t.Helper()
	m, err := h.AddMachine(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Run runs a command on a [Host] or [Machine] and returns its standard output. It fails the test on an error.
func Run(t testing.TB, where interface {
	Run(ctx context.Context, name string, args ...string) (string, error)
}, name string, args ...string) string {
	t.Helper()
	out, err := where.Run(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Serve starts the program under test; see [Host.StartDaemon]. It is killed when
// the test ends.
func Serve(t testing.TB, h *Host, args ...string) *Process {
	t.Helper()
	p, err := h.StartDaemon(args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Record starts a capture on a machine's interface that ends with the test. For keep see
// [Host.Capture].
func Record(t testing.TB, m *Machine, keep func(Frame) bool) *Capture {
	t.Helper()
	c, err := m.Capture(keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
