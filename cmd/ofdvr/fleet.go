package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/localcopy"
	"github.com/ofdvr/ofdvr/routing"
)

// tunnelOptions are the flags about this host's object in etcd.
type tunnelOptions struct{ address, kind string }

// tunnel returns the tunnel that the host registers. keep means that an existing object of the host
// keeps its type.
func (o *tunnelOptions) tunnel(etcd bool) (t routing.Tunnel, keep bool, err error) {
	switch o.kind {
	case "", "geneve":
	case "vxlan":
		t.Type = routing.TunnelVXLAN
	default:
		return t, false, misuse("--tunnel-type %s: want geneve or vxlan", o.kind)
	}
	switch {
	case o.address == "" && o.kind != "":
		return t, false, misuse("--tunnel-type needs --tunnel-address")
	case o.address == "":
		return t, false, nil
	case !etcd:
		return t, false, misuse("--tunnel-address needs --etcd: without etcd, the hosts of the topology file have the addresses")
	}
	if t.Address, err = netip.ParseAddr(o.address); err == nil {
		err = (&routing.Model{Hosts: []routing.Host{{ID: "this", Tunnel: t}}}).Validate()
	}
	if err != nil {
		return t, false, misuse("--tunnel-address %s: %v", o.address, err)
	}
	return t, o.kind == "", nil
}

// openMember returns this host among the hosts that share their intent in etcd.
// It refuses an etcd that is too old.
func (k *intentKeeper) openMember(ctx context.Context) (*etcd.Member, error) {
	s, err := k.o.etcd.open(k.log)
	if err != nil {
		return nil, err
	}
	k.close, k.shared = s.Close, s
	if _, err := s.Versions(ctx, versionTimeout); errors.Is(err, etcd.ErrOld) {
		return nil, err // any other error means that etcd does not answer, and then the daemon starts without it
	}
	tunnel, keep, err := k.o.tunnel.tunnel(true)
	if err != nil {
		return nil, err
	}
	return etcd.NewMember(s, etcd.MemberConfig{Host: k.o.host, Tunnel: tunnel, KeepType: keep, Version: version(), API: k.o.api, Log: k.log}), nil
}

// versionTimeout is the time limit, at the start, of etcd's answer with its version.
const versionTimeout = time.Second

// claims returns the function that receives the claims of this host; nil without etcd.
func (k *intentKeeper) claims() func(map[hosts.ClaimedPort]hosts.Claim) {
	if k.member == nil {
		return nil
	}
	return k.member.Claim
}

// runMember runs the member, if there is one, from the time when this daemon leads.
func (k *intentKeeper) runMember(ctx context.Context, lead <-chan struct{}, c *controller.Controller) error {
	if k.member == nil {
		return nil
	}
	if err := awaitLead(ctx, lead); err != nil {
		return err
	}
	return k.member.Run(ctx, node{c})
}

// node is the controller, as a member reports about it.
type node struct{ *controller.Controller }

// State implements [etcd.Node].
func (n node) State(ctx context.Context) (etcd.State, error) {
	st, err := n.Status(ctx)
	if err != nil {
		return etcd.State{}, err
	}
	s := etcd.State{Confirmed: st.Fabric == nil || st.Fabric.Settled, Problems: len(st.Problems)}
	for _, r := range st.Routers {
		s.Confirmed = s.Confirmed && r.Settled
		s.Problems += len(r.Problems)
	}
	for _, h := range st.Hosts {
		if h.Self {
			s.Machines = h.Ports
		}
	}
	return s, nil
}

// shared is the controller of a host that shares its intent in etcd with other hosts.
type shared struct {
	measured
	member *etcd.Member
	copy   *localcopy.Copy // may be nil
}

// Status adds what etcd has about the hosts.
func (s shared) Status(ctx context.Context) (controller.Status, error) {
	st, err := s.measured.Status(ctx)
	if err != nil {
		return st, err
	}
	st.Problems = append(st.Problems, s.member.Problems()...)
	if s.copy != nil && s.copy.Problem() != nil {
		st.Problems = append(st.Problems, "no copy of the intent is kept on this host's disk, for a start without etcd: "+s.copy.Problem().Error())
	}
	alive, err := s.member.Alive(ctx)
	if err != nil {
		return st, nil // the status says already that etcd does not answer
	}
	for i := range st.Hosts {
		h := &st.Hosts[i]
		l, there := alive[h.ID]
		h.InEtcd = &controller.HostInEtcd{Alive: there, Started: l.Started, Revision: l.Revision, Machines: l.Machines, Problems: l.Problems}
		if h.Version == "" {
			h.Version = l.Version
		}
	}
	return st, nil
}

// fleetColumns returns the columns of a table about a host in etcd.
func fleetColumns(h controller.HostStatus) []any {
	if e := h.InEtcd; e != nil && e.Alive {
		return []any{orDash(h.Version), e.Revision, e.Machines, e.Problems}
	}
	return []any{orDash(h.Version), "-", "-", "-"}
}

// inEtcdText describes what a host has written in etcd.
func inEtcdText(e *controller.HostInEtcd) string {
	if !e.Alive {
		return "its daemon is not in touch with etcd"
	}
	return fmt.Sprintf("alive since %s, revision %d confirmed, %s, %s", e.Started.Format(time.DateTime), e.Revision, count(e.Machines, "machine"), count(e.Problems, "problem"))
}
