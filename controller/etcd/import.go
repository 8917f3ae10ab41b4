package etcd

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// BeginImport declares that the intent lacks objects, see [ledger.Intent], and that an import will
// declare it complete. Until then, no host that starts does so.
func (s *Store) BeginImport(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	k := s.cfg.Prefix + metaKey
	resp, err := s.client.Get(ctx, k)
	if err == nil && len(resp.Kvs) > 0 {
		_, err = parseMeta(resp.Kvs[0].Value)
	}
	if err == nil {
		m, _ := json.Marshal(meta{Schema: schema}) // cannot fail
		_, err = s.client.Txn(ctx).Then(clientv3.OpPut(k, string(m)), clientv3.OpPut(s.cfg.Prefix+importKey, "")).Commit()
	}
	if err != nil {
		return fmt.Errorf("write key %s: %w", k, explained(err))
	}
	return nil
}

// EndImport is called when the intent has been declared complete.
func (s *Store) EndImport(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := s.client.Delete(ctx, s.cfg.Prefix+importKey); err != nil {
		return fmt.Errorf("delete key %s%s: %w", s.cfg.Prefix, importKey, explained(err))
	}
	return nil
}

// Importing reports whether an import has begun and not ended.
func (s *Store) Importing(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, s.cfg.Prefix+importKey, clientv3.WithCountOnly())
	if err != nil {
		return false, fmt.Errorf("read key %s%s: %w", s.cfg.Prefix, importKey, explained(err))
	}
	return resp.Count > 0, nil
}
