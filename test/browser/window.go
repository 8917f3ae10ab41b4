package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Prefer sets a preference of the system that pages can query, such as
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

// Reload loads the page again.
func (b *Browser) Reload() {
	b.t.Helper()
	b.Do("reload the page", chromedp.Reload())
}
