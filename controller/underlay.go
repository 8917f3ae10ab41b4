package controller

import (
	"fmt"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// underlayAge is how old an answer of [underlay] may be.
const underlayAge = 5 * time.Second

// An underlay knows the faults of the links to other hosts.
type underlay struct {
	mu    sync.Mutex
	of    *routing.Index
	read  time.Time
	lacks []string // links
	unfit []string // networks
}

// faults returns a problem if the uplink has no link, and a warning for each network of x that does not
// fit through the links. host is this host.
func (u *underlay) faults(x *routing.Index, host string) (problems, warnings []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == x && time.Since(u.read) < underlayAge {
		return u.lacks, u.unfit
	}
	u.of, u.read, u.lacks, u.unfit = x, time.Now(), nil, nil
	if doctor.LacksLink(x, host) {
		u.lacks = append(u.lacks, fmt.Sprintf("uplink %s %s: %s", x.Host(host).Uplink, doctor.NoLink, doctor.NoLinkRemedy))
	}
	for _, m := range routing.Misfits(x, host, namespace.PathMTU, namespace.LinkMTU) {
		u.unfit = append(u.unfit, fmt.Sprintf("network %s: %v: %s", m.Network, m, m.Remedy()))
	}
	return u.lacks, u.unfit
}
