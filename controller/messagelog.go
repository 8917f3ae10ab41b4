package controller

import (
	"cmp"
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
)

// LogMessages starts to log every OpenFlow message between this daemon and a router's bridge,
// at debug level, in the syntax of ovs-ofctl. If router is "", it stops logging. The error
// wraps [ledger.ErrNotFound] if the router does not exist.
func (c *Controller) LogMessages(ctx context.Context, router string) error {
	unknown, err := request(ctx, c, func(answer chan<- error) event { return logRequested{router, answer} })
	return cmp.Or(err, unknown)
}

// logMessages switches message logging to another router.
func (c *Controller) logMessages(w *world, router string) error {
	if router != "" && w.state(router) == nil {
		return fmt.Errorf("%w: router %q", ledger.ErrNotFound, router)
	}
	if st := w.state(w.logged); st != nil && st.session != nil {
		st.session.conn.LogMessages(nil)
	}
	w.logged = router
	if st := w.state(router); st != nil && st.session != nil {
		st.session.logMessages(c.messages.With(zap.String("router", router)))
	}
	return nil
}

// LoggedMessages returns the ID of the router with logged messages, or "".
func (c *Controller) LoggedMessages(ctx context.Context) (router string, err error) {
	return ask(ctx, c, func(w *world) string { return w.logged })
}

// logMessages logs the messages of the session from now on.
func (s *session) logMessages(log *zap.Logger) {
	log = log.With(zap.String("bridge", s.bridge))
	s.conn.LogMessages(func(sent bool, message []byte) {
		what := "received"
		if sent {
			what = "sent"
		}
		if e := log.Check(zap.DebugLevel, what+" OpenFlow"); e != nil {
			e.Write(zap.String("message", ofproto.Text(message)))
		}
	})
}
