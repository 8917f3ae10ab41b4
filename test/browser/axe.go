package browser

import (
	"context"
	_ "embed"

	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1, which checks the accessibility of pages. Its licence is in the same
// directory.
//
//go:embed axe/axe.min.js
var axe string

// Barriers returns the violations of the rules of WCAG 2.2 A and AA and of good
// practice on the page in its current state, each with the rule and the element.
func (b *Browser) Barriers() []string {
	b.t.Helper()
	b.Do("load axe", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[any]("if (!window.axe) {"+axe+"}; 1")(ctx, t)
		return err
	}))
	return Eval[[]string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`)
}
