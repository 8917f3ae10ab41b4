package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keys has the keys that are not characters, by name.
var keys = map[string]string{
	"Tab": kb.Tab, "Enter": kb.Enter, "Escape": kb.Escape, "Home": kb.Home, "End": kb.End, "PageDown": kb.PageDown, "PageUp": kb.PageUp,
	"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight,
}

// Press presses keys, one after the other. Each is given by its name, such as Tab, or as a
// character.
func (b *Browser) Press(names ...string) {
	b.t.Helper()
	for _, name := range names {
		key, ok := keys[name]
		if !ok {
			key = name
		}
		b.Do("press "+name, strokes(key, 0))
	}
}

// PressShift presses a key while Shift is held.
func (b *Browser) PressShift(name string) {
	b.t.Helper()
	b.Do("press Shift and "+name, strokes(keys[name], int64(kb.ModifierShift)))
}

// Type types a text.
func (b *Browser) Type(text string) {
	b.t.Helper()
	b.Do("type "+text, strokes(text, 0))
}

// strokes presses keys like a keyboard: a pressed key types its character unless the
// page handles the key.
func strokes(text string, modifiers int64) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, r := range text {
			events := kb.Encode(r)
			down, up := events[0], events[len(events)-1]
			if len(events) == 3 {
				down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
			}
			for _, e := range []*input.DispatchKeyEventParams{down, up} {
				e.Modifiers |= modifiers
				if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, *e); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
