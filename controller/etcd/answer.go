package etcd

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/inquiry"
)

const (
	// answersAtOnce is the number of questions that a host works on at a time.
	answersAtOnce = 4
	// questionsWaiting is the number of questions that wait for that; further questions are
	// ignored.
	questionsWaiting = 60
	// remembered is the number of malformed questions that are remembered, so that each is logged
	// once.
	remembered = 100
)

// Answer answers the questions to a host until ctx is done. It returns ctx's cause.
func (s *Store) Answer(ctx context.Context, host string, answer inquiry.Answerer, log *zap.Logger) error {
	a := answering{Store: s, host: host, answer: answer, log: log, turn: make(chan struct{}, answersAtOnce), admitted: make(chan struct{}, answersAtOnce+questionsWaiting)}
	defer a.running.Wait()
	for ctx.Err() == nil {
		a.follow(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return context.Cause(ctx)
}

// answering is a host that answers questions.
type answering struct {
	*Store
	host      string
	answer    inquiry.Answerer
	log       *zap.Logger
	malformed []string      // keys, the oldest first
	crowded   bool          // the last question was ignored, because too many wait
	turn      chan struct{} // has an element for each question that is worked on
	admitted  chan struct{} // has an element for each question that is worked on or waits
	running   sync.WaitGroup

	mu     sync.Mutex
	failed error // why the last answer could not be written; nil if it was written
}

// follow answers questions until the watch ends.
func (a *answering) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	get, stop := context.WithTimeout(ctx, requestTimeout)
	resp, err := a.client.Get(get, a.cfg.Prefix+askDir, clientv3.WithPrefix(), clientv3.WithLimit(answersAtOnce+questionsWaiting))
	stop()
	if err != nil {
		return
	}
	for _, kv := range resp.Kvs {
		a.question(ctx, string(kv.Key), kv.Value)
	}
	for resp := range a.watcher.Watch(clientv3.WithRequireLeader(ctx), a.cfg.Prefix+askDir, clientv3.WithPrefix(), clientv3.WithRev(resp.Header.Revision+1)) {
		if resp.Err() != nil {
			return
		}
		ended := make(map[string]bool)
		for _, e := range resp.Events {
			if e.Type == clientv3.EventTypeDelete {
				ended[string(e.Kv.Key)] = true
			}
		}
		for _, e := range resp.Events {
			if key := string(e.Kv.Key); e.Type == clientv3.EventTypePut && !ended[key] {
				a.question(ctx, key, e.Kv.Value)
			}
		}
	}
}

// question starts to answer a question, if it is one to this host.
func (a *answering) question(ctx context.Context, key string, value []byte) {
	q, err := inquiry.ParseQuestion(value)
	if err != nil {
		if !slices.Contains(a.malformed, key) {
			a.malformed = append(a.malformed, key)
			a.malformed = a.malformed[max(0, len(a.malformed)-remembered):]
			a.log.Warn("ignored a malformed question in etcd", zap.String("key", key), zap.Error(err))
		}
		return
	}
	if q.From == a.host || len(q.To) > 0 && !slices.Contains(q.To, a.host) {
		return
	}
	id := strings.TrimPrefix(key, a.cfg.Prefix+askDir)
	select {
	case a.admitted <- struct{}{}:
		a.crowded = false
	default:
		if !a.crowded {
			a.crowded = true
			a.log.Warn("ignored a question in etcd, because too many wait for an answer", zap.String("key", key), zap.Int("questions", cap(a.admitted)))
		}
		return
	}
	a.running.Go(func() {
		defer func() { <-a.admitted }()
		ctx, cancel := context.WithTimeout(ctx, q.Within())
		defer cancel()
		select {
		case <-ctx.Done():
			return
		case a.turn <- struct{}{}:
		}
		reply, err := a.answer(ctx, q)
		<-a.turn
		a.say(ctx, id, reply, err)
	})
}

// say writes an answer.
func (a *answering) say(ctx context.Context, id string, reply inquiry.Reply, failure error) {
	value := inquiry.Encode(reply, failure, inquiry.MaxAnswer)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lease, err := a.client.Grant(ctx, askLease)
	if err == nil {
		_, err = a.client.Put(ctx, a.cfg.Prefix+saidDir+url.PathEscape(a.host)+"/"+id, string(value), clientv3.WithLease(lease.ID))
	}
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && (a.failed == nil || err.Error() != a.failed.Error()) {
		a.log.Warn("could not write the answer to a question to etcd", zap.String("below", a.cfg.Prefix+saidDir+url.PathEscape(a.host)+"/"), zap.Error(err))
	}
	a.failed = err
}
