package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Prefer has the system prefer something that pages can ask for, such as
// prefers-color-scheme: dark.
func (b *Browser) Prefer(feature, value string) {
	b.t.Helper()
	b.Do("prefer "+value, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: feature, Value: value}}})
		return err
	}))
}

// Resize changes the size of the window.
func (b *Browser) Resize(width, height int) {
	b.t.Helper()
	b.Do("resize the window", chromedp.EmulateViewport(int64(width), int64(height)))
}

// Reload loads the page anew.
func (b *Browser) Reload() {
	b.t.Helper()
	b.Do("load the page anew", chromedp.Reload())
}
