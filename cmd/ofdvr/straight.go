package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/history"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// straight returns a client of an API in this process, which reads and writes the intent in etcd as
// a daemon does. It has no switches. It ends with the command.
func straight(cmd *cobra.Command, o *etcdOptions) (*api.Client, error) {
	s, err := o.connect(cmd)
	if err != nil {
		return nil, err
	}
	l, err := readEtcd(cmd, s)
	if err != nil {
		s.Close()
		return nil, err
	}
	log, err := logging.New("error", "console")
	if err != nil {
		s.Close()
		return nil, err
	}
	go func() {
		l.Run(cmd.Context(), noReader{}) // until the command ends
		s.Close()
	}()
	return api.InProcess(cmd.Context(), api.Handler(l, noSwitches{l}, log, version(), nil, api.Others{})), nil
}

// readEtcd returns a ledger that has only the intent in etcd.
func readEtcd(cmd *cobra.Command, s *etcd.Store) (*ledger.Ledger, error) {
	stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "reading etcd")
	defer stop()
	l, err := ledger.Open(cmd.Context(), ledger.Config{Sources: []ledger.Source{s}, Write: s, Log: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return l, l.Intent().Sources[0].Err
}

// noReader is a [ledger.Reader] that does nothing.
type noReader struct{}

func (noReader) Load(*ledger.Intent, []string) {}

// noSwitches implements [api.Switches] where no daemon runs.
type noSwitches struct{ ledger *ledger.Ledger }

// errNoDaemon is the error of requests about switches.
var errNoDaemon = fmt.Errorf("only a daemon knows it: use --api instead of --etcd (%w)", errors.ErrUnsupported)

// Status returns the status of the intent.
func (n noSwitches) Status(context.Context) (controller.Status, error) {
	return controller.Status{Intent: controller.StatusOf(n.ledger.Intent())}, nil
}

func (noSwitches) Await(context.Context, ledger.Result) ([]controller.Pending, error) {
	return nil, errNoDaemon
}

func (noSwitches) Conditions(context.Context, []ledger.Object) ([]controller.Condition, error) {
	return nil, errNoDaemon
}

func (noSwitches) Plan(context.Context, *ledger.Intent, *ledger.Intent, []string) (controller.Plan, error) {
	return controller.Plan{}, errNoDaemon
}

func (noSwitches) Flows(context.Context, string) (iter.Seq[controller.Flow], error) {
	return nil, errNoDaemon
}

func (noSwitches) Trace(context.Context, trace.Query, bool) ([]controller.TracedPath, error) {
	return nil, errNoDaemon
}

func (noSwitches) Arrive(context.Context, controller.Arrival, bool) (controller.TracedArrival, error) {
	return controller.TracedArrival{}, errNoDaemon
}

func (noSwitches) Explain(context.Context, ofproto.Cookie) (controller.Explanation, bool, error) {
	return controller.Explanation{}, false, errNoDaemon
}

func (noSwitches) Counters(context.Context) (counters.Snapshot, error) {
	return counters.Snapshot{}, errNoDaemon
}

func (noSwitches) Machines(context.Context) (*machines.Evidence, error) { return nil, errNoDaemon }
func (noSwitches) Examine(context.Context) ([]doctor.Finding, error)    { return nil, errNoDaemon }
func (noSwitches) LogMessages(context.Context, string) error            { return errNoDaemon }
func (noSwitches) LoggedMessages(context.Context) (string, error)       { return "", errNoDaemon }
func (noSwitches) Busiest(int) history.Window                           { return history.Window{} }
func (noSwitches) Of(string) history.Window                             { return history.Window{} }
