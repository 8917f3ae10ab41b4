package etcd

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// register writes the object of this host once. Later changes by others stay, so that a host can be
// removed.
func (m *Member) register(ctx context.Context) error {
	if !m.cfg.Tunnel.Address.IsValid() {
		return nil
	}
	return m.retry(ctx, "register", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if err := m.tryRegister(ctx); err != nil {
			return fmt.Errorf("host %s could not register its tunnel address %v: %w", m.cfg.Host, m.cfg.Tunnel.Address, err)
		}
		return nil
	})
}

func (m *Member) tryRegister(ctx context.Context) error {
	all, err := m.keys.client.Get(ctx, m.keys.cfg.Prefix+hostDir, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	host := routing.Host{ID: m.cfg.Host, Tunnel: m.cfg.Tunnel}
	key := m.keys.cfg.Prefix + thing{host: &host}.key()
	revision := int64(0)
	for _, kv := range all.Kvs {
		h, err := topology.ParseHost(kv.Value)
		switch {
		case string(kv.Key) == key && err != nil:
			return fmt.Errorf("key %s exists, but it cannot be read: correct or delete it: %w", key, err)
		case string(kv.Key) == key:
			if h.Tunnel == m.cfg.Tunnel || m.cfg.KeepType && h.Tunnel.Address == m.cfg.Tunnel.Address {
				return nil
			}
			if m.cfg.KeepType && h.Tunnel.Address.IsValid() {
				host.Tunnel.Type = h.Tunnel.Type
			}
			revision = kv.ModRevision
			host.Meta, host.Uplink = h.Meta, h.Uplink
		case err == nil && h.Tunnel.Address == m.cfg.Tunnel.Address:
			return fmt.Errorf("host %s has this address in the intent. Give another --tunnel-address, or correct or delete host %s", h.ID, h.ID)
		}
	}
	resp, err := m.keys.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, string(topology.AppendHost(nil, &host)))).Commit()
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		return errors.New("another program changed the host's object at the same time")
	}
	m.cfg.Log.Info("registered this host in etcd", zap.String("host", host.ID), zap.Stringer("address", host.Tunnel.Address))
	return nil
}
