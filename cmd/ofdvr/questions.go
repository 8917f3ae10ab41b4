package main

import (
	"context"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/inquiry"
)

// others returns how the API asks the daemons of other hosts. host is the ID of this host.
func (k *intentKeeper) others(host string) api.Others {
	if k.shared == nil {
		return api.Others{}
	}
	return api.Others{Host: host, Ask: k.shared.Ask}
}

// answer answers the questions of other hosts until ctx is done. It begins when this daemon leads.
func (k *intentKeeper) answer(ctx context.Context, lead <-chan struct{}, host string, answer inquiry.Answerer) error {
	if err := awaitLead(ctx, lead); err != nil {
		return err
	}
	if k.shared == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return k.shared.Answer(ctx, host, answer, k.log)
}
