package browser

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/chromedp/chromedp"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A chromium is a running Chromium. It has its own host, because Chromium aborts loading when an
// interface appears or disappears, and this happens on a host with machines.
type chromium struct {
	host *lab.Host
	ctx  context.Context // context of chromedp; its children are tabs
	tabs atomic.Uint32   // opened so far
}

// shared returns the Chromium that all tests of a program share, because its start takes longer
// than most tests. The first call starts it. It ends with the bubble.
var shared = sync.OnceValues(func() (*chromium, error) {
	dir, err := os.MkdirTemp("", "ofdvr-chromium-")
	if err != nil {
		return nil, err
	}
	host, err := lab.NewHost(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "chromium.log"))
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(Command), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.CombinedOutput(log),
		chromedp.NoSandbox, chromedp.DisableGPU, // root has no sandbox, and the lab no GPU
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("disable-component-update", true),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { // controlled through pipes, which connect the host with the program
			inside := host.Command(context.Background(), cmd.Path, cmd.Args[1:]...)
			cmd.Path, cmd.Args = inside.Path, inside.Args
		}))
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start Chromium: %w\n%s", err, text)
	}
	return &chromium{host: host, ctx: ctx}, nil
})

// address returns an address of Chromium's host that no other tab uses, with the
// given port.
func (c *chromium) address(port uint16) string {
	n := c.tabs.Add(1)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), port).String()
}
