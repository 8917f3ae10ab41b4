package browser

import "github.com/chromedp/chromedp/kb"

// named returns what chromedp calls a key that is given by its name; other
// keys are their characters.
func named(key string) string {
	switch key {
	case "Tab":
		return kb.Tab
	case "Enter":
		return kb.Enter
	case "Escape":
		return kb.Escape
	case "ArrowUp":
		return kb.ArrowUp
	case "ArrowDown":
		return kb.ArrowDown
	case "ArrowLeft":
		return kb.ArrowLeft
	case "ArrowRight":
		return kb.ArrowRight
	case "Home":
		return kb.Home
	case "End":
		return kb.End
	case "PageDown":
		return kb.PageDown
	}
	return key
}
