package browser

import (
	"context"
	_ "embed"

	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1, which checks pages for what keeps people from using
// them. Its licence is beside it.
//
//go:embed axe/axe.min.js
var axe string

// Barriers returns what keeps people from using the page as it is now, by the
// rules of WCAG 2.2 A and AA and by good practice, each with the rule and the
// element.
func (b *Browser) Barriers() []string {
	b.t.Helper()
	b.Do("load axe", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[any]("if (!window.axe) {"+axe+"}; 1")(ctx, t)
		return err
	}))
	return Eval[[]string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`)
}
