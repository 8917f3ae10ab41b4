package reconcile

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// logChange logs a change of the switch.
func (r *Reconciler) logChange(a act, took time.Duration, err error) {
	what, set, drop := "flows", "groups_set", "groups_deleted"
	if a.kind == meters {
		what, set, drop = "meters", "meters_set", "meters_deleted"
	}
	var refused *ofconn.CommitError
	if errors.As(err, &refused) {
		return // logRefused logs the refused changes
	}
	if err != nil {
		r.log.Warn("could not change "+what+", reading the switch again", zap.Error(err))
		return
	}
	var fields []zap.Field
	if a.kind == commit {
		fields = append(fields, zap.Int("added", len(a.delta.Add)), zap.Int("modified", len(a.delta.Modify)),
			zap.Int("deleted", len(a.delta.Delete)), zap.Int("total", r.core.target.Flows.Len()))
	}
	if len(a.set)+len(a.drop) > 0 {
		fields = append(fields, zap.Int(set, len(a.set)), zap.Int(drop, len(a.drop)))
	}
	fields = append(fields, zap.Duration("took", took))
	d := r.drift
	if d.Len() == 0 {
		r.log.Info("changed "+what, fields...)
		return
	}
	if time.Since(r.logged) < repairsLogged {
		return // the next log line includes this drift
	}
	r.logged, r.drift = time.Now(), Drift{}
	if d.Flows() > 0 {
		fields = append(fields, zap.Int("others_deleted", d.Deleted), zap.Int("others_altered", d.Altered), zap.Int("others_added", d.Added))
	}
	if d.Groups+d.Meters > 0 {
		what = "flows, groups or meters"
		fields = append(fields, zap.Int("others_groups", d.Groups), zap.Int("others_meters", d.Meters))
	}
	r.log.Warn("repaired "+what+" that other programs had changed", fields...)
}

// logRefused logs the changes that the switch refused.
func (r *Reconciler) logRefused(errs []*ofproto.RefusedError) {
	for i, e := range errs {
		r.cfg.Recorder.SwitchError(r.cfg.Router, e.Code)
		if i < maxLogged {
			what, _ := entryOf(e.Mod)
			r.log.Error("switch refused a "+what+", other changes are not affected", zap.String("object", r.describe(e.Mod)),
				zap.Stringer(what, e.Mod), zap.String("code", e.Code.Name()), zap.String("meaning", e.Code.Error()),
				zap.Duration("retry", r.core.refused[about(e.Mod)].wait))
		}
	}
	if n := len(errs) - maxLogged; n > 0 {
		r.log.Error("switch refused more changes", zap.Int("number", n))
	}
}
