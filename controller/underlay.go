package controller

import (
	"fmt"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// underlayAge is how old an answer of [underlay] may be.
const underlayAge = 5 * time.Second

// An underlay knows which networks do not fit through the links to other hosts.
type underlay struct {
	mu    sync.Mutex
	of    *routing.Index
	read  time.Time
	texts []string
}

// warnings returns a warning for each network of x that does not fit. host is this host.
func (u *underlay) warnings(x *routing.Index, host string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == x && time.Since(u.read) < underlayAge {
		return u.texts
	}
	u.of, u.read, u.texts = x, time.Now(), nil
	for _, m := range routing.Misfits(x, host, namespace.PathMTU, namespace.LinkMTU) {
		u.texts = append(u.texts, fmt.Sprintf("network %s: %v: %s", m.Network, m, m.Remedy()))
	}
	return u.texts
}
