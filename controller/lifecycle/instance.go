package lifecycle

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// Instance returns the name of this ofdvr in its marks. The name distinguishes it from other
// instances on the same machine. It is the name in the file, if the file exists. Otherwise it is
// the system ID of the Open vSwitch or, if there is no system ID, the UUID of the database's root
// row. It is "" if the database has no root row yet either.
//
// The file is in the run directory, which exists as long as the marked namespaces. So a new
// database, or another system ID, does not change the instance.
func Instance(file string, s ovsdb.State) (string, error) {
	b, err := ownfile.ReadFile(file)
	if name := strings.TrimSpace(string(b)); err == nil && name == instanceName(name) && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the instance name: %w", err)
	}
	return instanceName(cmp.Or(s.SystemID, s.Root)), nil
}

// Exists reports whether this ofdvr has made anything on this host, in the database or as a
// namespace. If it has made nothing, a new store is complete.
func Exists(s ovsdb.State, instanceFile string) (bool, error) {
	if s.HasOurs() {
		return true, nil
	}
	self, err := Instance(instanceFile, s)
	if err != nil {
		return false, err
	}
	namespaces, err := namespace.List()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(namespaces, func(ns namespace.Namespace) bool { return ns.Instance == "" || ns.Instance == self }), nil
}

// instanceName returns an ID as a name. An ID that cannot be part of a mark is replaced by its
// hash.
func instanceName(id string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)
	}
	if len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return !plain(r) }) {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(id)))[:32]
	}
	return id
}

// keepInstance writes the file of [Instance].
func keepInstance(file, name string) error {
	err := ownfile.MkdirAll(filepath.Dir(file))
	if err == nil {
		err = ownfile.WriteFile(file, []byte(name+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the instance name: %w", err)
	}
	return nil
}

// identify finds the name of this instance. If an older version has made namespaces of its routers
// without marks, it marks them.
func (p *pass) identify(state ovsdb.State) {
	name, err := Instance(p.cfg.InstanceFile, state)
	if err != nil {
		p.database.problems.add("", err.Error())
		p.warn(cannotIdentify, "", err)
		p.database.again(time.Now())
		return
	}
	if name == "" {
		return
	}
	if p.cfg.InstanceFile != "" {
		if err := keepInstance(p.cfg.InstanceFile, name); err != nil { // log a warning only, because the next start will most probably find the same name
			p.log.Warn("could not save the instance name", zap.String("instance", name), zap.Error(err))
		}
	}
	p.mu.Lock()
	p.instance = name
	p.mu.Unlock()
	p.resolved(cannotIdentify, "")
	adopted, err := namespace.Adopt(name, state.Routers())
	if len(adopted) > 0 {
		p.log.Info("marked namespaces of an earlier version as namespaces of this instance", zap.String("instance", name), zap.String("namespaces", logging.Brief(adopted)))
	}
	if err != nil {
		p.log.Warn("could not adopt namespaces of an earlier version", zap.Error(err))
	}
}

// self returns the name of this instance, or "" if it is not known yet.
func (l *Lifecycle) self() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.instance
}
