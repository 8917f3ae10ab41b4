package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
	"github.com/ofdvr/ofdvr/test/lab"
)

// etcdMembers is the number of members of a cluster.
const etcdMembers = 3

// A cluster is an etcd that hosts share. Each host reaches each member through a relay, so that a
// host can be cut off.
type cluster struct {
	*lab.Etcd
	client *clientv3.Client // to the members, without a relay
	relays [][]*relay       // of each host, one for each member
}

// newCluster starts etcd, with its data below dir, on ports from port on.
func newCluster(ctx context.Context, hosts []*lab.Host, dir string, port int) (*cluster, error) {
	e, err := lab.StartEtcd(ctx, dir, etcdMembers, port)
	if err != nil {
		return nil, err
	}
	c := &cluster{Etcd: e}
	if c.client, err = clientv3.New(clientv3.Config{Endpoints: e.Endpoints, DialTimeout: time.Second, DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second, Logger: zap.NewNop()}); err != nil {
		c.close()
		return nil, err
	}
	for _, h := range hosts {
		var rs []*relay
		for _, url := range e.Endpoints {
			addr := strings.TrimPrefix(url, "http://")
			ln, err := h.ListenIn(ctx, "", "tcp", addr)
			if err != nil {
				c.close()
				return nil, err
			}
			r := &relay{listener: ln, to: netip.MustParseAddrPort(addr), conns: make(map[net.Conn]bool)}
			r.changed = sync.NewCond(&r.mu)
			r.running.Go(r.accept)
			rs = append(rs, r)
		}
		c.relays = append(c.relays, rs)
	}
	return c, nil
}

func (c *cluster) close() {
	for _, rs := range c.relays {
		for _, r := range rs {
			r.close()
		}
	}
	if c.client != nil {
		c.client.Close()
	}
	c.Etcd.Close()
}

// leader returns the index of the leader.
func (c *cluster) leader(ctx context.Context) (leader int, err error) {
	err = lab.Await(ctx, "etcd to have a leader", func() error {
		for i, url := range c.Endpoints {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			st, err := c.client.Status(ctx, url)
			cancel()
			if err == nil && st.Leader == st.Header.MemberId {
				leader = i
				return nil
			}
		}
		return errors.New("none answers that it leads")
	})
	return leader, err
}

// restart starts all members that do not run, and waits until they answer.
func (c *cluster) restart(ctx context.Context) error {
	for i := range etcdMembers {
		if !c.Runs(i) {
			if err := c.Start(i); err != nil {
				return err
			}
		}
	}
	return c.Healthy(ctx)
}

// pass sets how the relays of a host pass data.
func (c *cluster) pass(host int, how passing) {
	for _, r := range c.relays[host] {
		r.set(how)
	}
}

// compact forgets the history.
func (c *cluster) compact(ctx context.Context) error {
	resp, err := c.client.Get(ctx, "x")
	if err != nil {
		return err
	}
	_, err = c.client.Compact(ctx, resp.Header.Revision)
	return err
}

// alarm raises or ends the alarm that the disk is full.
func (c *cluster) alarm(ctx context.Context, on bool) error {
	req := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_DEACTIVATE, Alarm: etcdserverpb.AlarmType_NOSPACE}
	if on {
		req.Action = etcdserverpb.AlarmRequest_ACTIVATE
	}
	resp, err := c.client.Status(ctx, c.Endpoints[0])
	if err != nil {
		return err
	}
	req.MemberID = resp.Header.MemberId
	_, err = etcdserverpb.NewMaintenanceClient(c.client.ActiveConnection()).Alarm(ctx, req)
	return err
}

// intent returns the objects that lie in etcd, read without ofdvr's store.
func (c *cluster) intent(ctx context.Context) (*routing.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	const prefix = "/ofdvr/1/"
	resp, err := c.client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read the intent from etcd: %w", err)
	}
	m := new(routing.Model)
	for _, kv := range resp.Kvs {
		dir, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), prefix), "/")
		switch dir {
		case "host":
			err = parsed(&m.Hosts, topology.ParseHost, kv.Value)
		case "net":
			err = parsed(&m.Networks, topology.ParseNetwork, kv.Value)
		case "rtr":
			err = parsed(&m.Routers, topology.ParseRouter, kv.Value)
		case "port":
			err = parsed(&m.Ports, topology.ParsePort, kv.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
	}
	return m, nil
}

func parsed[T any](to *[]T, parse func([]byte) (T, error), value []byte) error {
	v, err := parse(value)
	*to = append(*to, v)
	return err
}

// A passing is how a relay passes data.
type passing int

const (
	passes  passing = iota // at once
	stalls                 // later, as if packets were lost
	refuses                // not at all; connections are closed
)

// A relay passes connections from a host to a member of etcd.
type relay struct {
	listener net.Listener
	to       netip.AddrPort
	running  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // signals a change of how or closed
	how     passing
	closed  bool
	conns   map[net.Conn]bool // open
}

func (r *relay) set(how passing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.how = how; how == refuses {
		r.hangUp()
	}
	r.changed.Broadcast()
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.hangUp()
	r.changed.Broadcast()
	r.mu.Unlock()
	r.listener.Close()
	r.running.Wait()
}

// hangUp closes all connections. The caller holds r.mu.
func (r *relay) hangUp() {
	for c := range r.conns {
		c.Close()
	}
	clear(r.conns)
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.relay(from) })
	}
}

func (r *relay) relay(from net.Conn) {
	defer from.Close()
	to, err := net.DialTimeout("tcp", r.to.String(), time.Second)
	if err != nil {
		return
	}
	defer to.Close()
	r.mu.Lock()
	if r.closed || r.how == refuses {
		r.mu.Unlock()
		return
	}
	r.conns[from], r.conns[to] = true, true
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { r.copy(to, from) })
	both.Go(func() { r.copy(from, to) })
	both.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, from)
	delete(r.conns, to)
}

// copy passes data until a connection ends, and then ends both.
func (r *relay) copy(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			r.mu.Lock()
			for r.how == stalls && !r.closed {
				r.changed.Wait()
			}
			r.mu.Unlock()
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
