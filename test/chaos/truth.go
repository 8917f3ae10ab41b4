package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// inspect compares the site with the intent. Each time it reads flows and ports from the bridges,
// the rows from the database and the links from the kernel. From the daemon it uses only the report
// that it is settled. It returns the flows of each router's bridge, or an error with the
// differences.
func (s *site) inspect(ctx context.Context) (map[string]ofproto.Set, error) {
	if err := s.settled(ctx); err != nil {
		return nil, err
	}
	m, err := s.desiredModel(ctx)
	if err != nil {
		return nil, err
	}
	for i := range m.Ports {
		p := &m.Ports[i]
		if at := s.places[p.ID]; at != "" {
			p.Host = at
		} else if p.Host == s.name {
			p.Host = "" // it is not plugged in here
		}
	}
	if err := s.checkDatabase(ctx, m); err != nil {
		return nil, err
	}
	flows := make(map[string]ofproto.Set)
	index := routing.NewIndex(m)
	for i := range m.Routers {
		r := &m.Routers[i]
		if flows[r.ID], err = s.checkFlows(ctx, index, r); err != nil {
			return nil, err
		}
	}
	if s.name != "" {
		if flows[routing.FabricBridge], err = s.checkFabric(ctx, index); err != nil {
			return nil, err
		}
	}
	return flows, s.checkKernel(ctx, m)
}

// desiredModel returns the intent, from etcd if it is there.
func (s *site) desiredModel(ctx context.Context) (*routing.Model, error) {
	if s.etcd != nil {
		return s.etcd.intent(ctx)
	}
	return s.intent.model()
}

// settled returns nil if the daemon reports that the current file is completely confirmed.
func (s *site) settled(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	if s.etcd == nil && (st.Intent.File == nil || !st.Intent.File.Loaded.After(s.loaded)) {
		return errors.New("the daemon has not read the file yet")
	}
	if !st.Settled {
		text, _ := json.Marshal(st) // cannot fail, because st has only plain values
		return fmt.Errorf("the daemon is not settled: %s", text)
	}
	return s.acquainted(st)
}

func (s *site) status(ctx context.Context) (st controller.Status, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ofdvr/v1/status", nil)
	if err != nil {
		return st, err
	}
	resp, err := s.HTTPUnix(apiSocket).Do(req)
	if err != nil {
		return st, fmt.Errorf("read the daemon's status: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("read the daemon's status: %s: %s", resp.Status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &st)
	}
	return st, err
}

// checkDatabase returns nil if a plan for m has no changes and no
// problems.
func (s *site) checkDatabase(ctx context.Context, m *routing.Model) error {
	client, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + s.Path("/run/openvswitch/db.sock")})
	if err != nil {
		return err
	}
	want := desired(m)
	if s.name != "" {
		if err := s.desireFabric(&want, m); err != nil {
			return err
		}
	}
	return during(ctx, func(ctx context.Context) error {
		if err := client.Wait(ctx); err != nil {
			return err
		}
		state, err := client.State(ctx)
		if err != nil {
			return err
		}
		ops, problems := ovsdb.Plan(state, want)
		if len(ops)+len(problems) > 0 {
			return fmt.Errorf("OVSDB is not as planned: %v %v", ops, problems)
		}
		return nil
	}, client.Run)
}

// checkFlows returns the flows of r's bridge. The error is nil if they are exactly the flows
// compiled for the bridge's ports.
func (s *site) checkFlows(ctx context.Context, index *routing.Index, r *routing.Router) (ofproto.Set, error) {
	stats, facts, err := s.dump(ctx, r.BridgeName())
	if err != nil {
		return ofproto.Set{}, fmt.Errorf("bridge %s: %w", r.BridgeName(), err)
	}
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	have := ofproto.SetOf(flows)
	facts.Host = s.name
	want := compile.Compile(index, r, facts)
	if len(want.Missing) > 0 {
		return have, fmt.Errorf("bridge %s has no ports %v", r.BridgeName(), want.Missing)
	}
	// Flows of neighbours are not compared, because the kernel decides which neighbours to
	// resolve.
	if d := ofproto.Diff(have.Without(ofNeighbour), want.Flows); d.Len() > 0 {
		return have, fmt.Errorf("the flows of %s are not those compiled: missing %v, different from %v, too many %v", r.BridgeName(), d.Add, d.Modify, d.Delete)
	}
	return have, nil
}

func ofNeighbour(f ofproto.Flow) bool {
	role, _ := compile.RoleOf(f.Cookie)
	return role == compile.RoleNeighbour
}

// dump reads flows and ports from the bridge's own socket.
func (s *site) dump(ctx context.Context, bridge string) (stats []ofproto.FlowStats, facts compile.Facts, err error) {
	nc, err := s.Dial(ctx, "unix", "/run/openvswitch/"+bridge+".mgmt")
	if err != nil {
		return nil, compile.Facts{}, err
	}
	facts = compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	conn := ofconn.New(nc, ofconn.Config{})
	err = during(ctx, func(ctx context.Context) error {
		ports, err := conn.Ports(ctx)
		if err != nil {
			return err
		}
		for _, p := range ports {
			if p.No <= ofproto.PortMax {
				facts.Ports[p.Name] = p.No
			}
		}
		stats, err = conn.Flows(ctx, ofproto.AllFlows())
		return err
	}, func(ctx context.Context) error { return conn.Run(ctx, func(ofproto.Message) {}) })
	return stats, facts, err
}

// A link is a link in the output of ip(8).
type link struct {
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	MAC       string   `json:"address"`
	Addresses []struct {
		Scope string `json:"scope"`
		Local string `json:"local"`
		Bits  int    `json:"prefixlen"`
	} `json:"addr_info"`
}

// checkKernel returns nil if the namespaces are exactly the namespaces of m, with exactly
// its taps.
func (s *site) checkKernel(ctx context.Context, m *routing.Model) error {
	mtu := make(map[string]int)
	for _, n := range m.Networks {
		mtu[n.ID] = n.MTU
	}
	var want []string
	for i := range m.Routers {
		r := &m.Routers[i]
		want = append(want, r.NamespaceName())
		links, err := s.links(ctx, r.NamespaceName())
		if err != nil {
			return err
		}
		taps := make(map[string]string)
		for k := range r.Interfaces {
			f := &r.Interfaces[k]
			var addrs []string
			for _, a := range f.Addresses {
				addrs = append(addrs, a.String())
			}
			taps[f.TapName()] = describe(f.MAC.String(), mtu[f.Network], true, addrs)
		}
		for _, l := range links {
			if l.Name == "lo" {
				continue
			}
			var addrs []string
			for _, a := range l.Addresses {
				if a.Scope != "link" {
					addrs = append(addrs, fmt.Sprintf("%s/%d", a.Local, a.Bits))
				}
			}
			have := describe(l.MAC, l.MTU, slices.Contains(l.Flags, "LOWER_UP"), addrs)
			if taps[l.Name] != have {
				return fmt.Errorf("link %s in %s is %q, want %q", l.Name, r.NamespaceName(), have, taps[l.Name])
			}
			delete(taps, l.Name)
		}
		if len(taps) > 0 {
			return fmt.Errorf("namespace %s lacks %v", r.NamespaceName(), taps)
		}
	}
	slices.Sort(want)
	have, err := filepath.Glob(s.Path("/run/netns/qrouter-*"))
	for i := range have {
		have[i] = filepath.Base(have[i])
	}
	if err == nil && !slices.Equal(have, want) {
		err = fmt.Errorf("the namespaces of routers are %v, want %v", have, want)
	}
	return err
}

// describe returns a comparable description of a link. up means that the other end is connected.
func describe(mac string, mtu int, up bool, addrs []string) string {
	slices.Sort(addrs)
	return fmt.Sprintf("%s mtu %d up %v %s", mac, mtu, up, strings.Join(addrs, " "))
}

func (s *site) links(ctx context.Context, netns string) ([]link, error) {
	out, err := s.Run(ctx, "ip", "-j", "-n", netns, "address", "show")
	if err != nil {
		return nil, err
	}
	var links []link
	if err := json.Unmarshal([]byte(out), &links); err != nil {
		return nil, fmt.Errorf("read the links of %s: %w", netns, err)
	}
	return links, nil
}

// fallback returns nil if the kernel answers pings on every interface of the mesh's routers. It
// waits for the replies.
func (s *site) fallback(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for m, plugged := range s.machine {
		if s.intent.router(m.router).on(m.network) == nil {
			continue
		}
		gateway := m.Gateways[0]
		g.Go(func() error {
			_, err := plugged.Ping(ctx, gateway, lab.PingOptions{Wait: patience})
			return err
		})
	}
	return g.Wait()
}
