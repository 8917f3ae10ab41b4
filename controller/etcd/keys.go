package etcd

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Keys without an ID, below the prefix.
const (
	metaKey    = "meta"
	layoutKey  = "layout"
	clusterKey = "cluster"
	syncKey    = "sync"
	askKey     = "ask"
	importKey  = "import" // exists until an import has declared the intent complete
)

// Directories of keys, below the prefix.
const (
	hostDir    = "host/"
	networkDir = "net/"
	routerDir  = "rtr/"
	portDir    = "port/"
	ownDir     = "own/"
	aliveDir   = "alive/"
	onDir      = "on/"
	ackDir     = "ack/"
	saidDir    = "said/"
	homeDir    = ownDir + "id/" // the network of each port
	spanDir    = "span/"
)

// A key is a parsed key of etcd.
type key struct {
	text string // without the prefix
	kind routing.Kind
	id   string
	net  string // the network of a port
}

func (k key) is(text string) bool   { return k.text == text }
func (k key) object() ledger.Object { return ledger.Object{Kind: k.kind, ID: k.id} }

// object parses a key. The kind is 0 if the key is not that of an object: no object has an ID that is
// too long or no text.
func (s *Store) object(text string) key {
	k := key{text: strings.TrimPrefix(text, s.cfg.Prefix)}
	dir, rest, _ := strings.Cut(k.text, "/")
	id := func(kind routing.Kind, text string) {
		if id, err := url.PathUnescape(text); err == nil && !strings.Contains(text, "/") && isID(id) {
			k.kind, k.id = kind, id
		}
	}
	switch dir + "/" {
	case hostDir:
		id(routing.KindHost, rest)
	case networkDir:
		id(routing.KindNetwork, rest)
	case routerDir:
		id(routing.KindRouter, rest)
	case portDir:
		net, port, _ := strings.Cut(rest, "/")
		var err error
		if k.net, err = url.PathUnescape(net); err == nil && isID(k.net) {
			id(routing.KindPort, port)
		}
	}
	return k
}

// isID reports whether an object can have an ID.
func isID(id string) bool {
	return id != "" && len(id) <= routing.MaxIDLen && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}

// parse parses the value of k and appends the object to m. The error is short, even if it quotes an
// absurdly long value.
func (k key) parse(value []byte, m *routing.Model) error {
	id, net := "", k.net
	var err error
	switch k.kind {
	case routing.KindHost:
		var v routing.Host
		if v, err = topology.ParseHost(value); err == nil {
			id, m.Hosts = v.ID, append(m.Hosts, v)
		}
	case routing.KindNetwork:
		var v routing.Network
		if v, err = topology.ParseNetwork(value); err == nil {
			id, m.Networks = v.ID, append(m.Networks, v)
		}
	case routing.KindRouter:
		var v routing.Router
		if v, err = topology.ParseRouter(value); err == nil {
			id, m.Routers = v.ID, append(m.Routers, v)
		}
	default:
		var v routing.Port
		if v, err = topology.ParsePort(value); err == nil {
			id, net, m.Ports = v.ID, v.Network, append(m.Ports, v)
		}
	}
	if err == nil && (id != k.id || net != k.net) {
		err = fmt.Errorf("the value is %v %q of network %q", k.kind, id, net)
	}
	if err != nil {
		err = errors.New(brief(err.Error()))
	}
	return err
}

// maxText is the number of bytes that keys and errors have in messages.
const maxText = 400

// brief returns a text, or its beginning if it is long.
func brief(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// A thing is an object of the intent. At most one field is not nil.
type thing struct {
	host    *routing.Host
	network *routing.Network
	router  *routing.Router
	port    *routing.Port
}

func (t thing) exists() bool { return t != (thing{}) }

// key returns the key of t below the prefix.
func (t thing) key() string {
	switch {
	case t.host != nil:
		return hostDir + url.PathEscape(t.host.ID)
	case t.network != nil:
		return networkDir + url.PathEscape(t.network.ID)
	case t.router != nil:
		return routerDir + url.PathEscape(t.router.ID)
	}
	return portsOf(t.port.Network) + url.PathEscape(t.port.ID)
}

// portsOf returns the directory of a network's ports.
func portsOf(network string) string { return portDir + url.PathEscape(network) + "/" }

// homeOf returns the key with the network of a port.
func homeOf(port string) string { return homeDir + url.PathEscape(port) }

func (t thing) value() []byte {
	switch {
	case t.host != nil:
		return topology.AppendHost(nil, t.host)
	case t.network != nil:
		return topology.AppendNetwork(nil, t.network)
	case t.router != nil:
		return topology.AppendRouter(nil, t.router)
	}
	return topology.AppendPort(nil, t.port)
}

// owns calls add for each key below own that t has, with its value.
func (t thing) owns(add func(key, value string)) {
	mac := func(network string, m ofproto.MAC, by string) {
		add(ownDir+"mac/"+url.PathEscape(network)+"/"+m.String(), by)
	}
	ip := func(network string, a netip.Addr, by string) {
		add(ownDir+"ip/"+url.PathEscape(network)+"/"+a.String(), by)
	}
	switch {
	case t.router != nil:
		for i := range t.router.Interfaces {
			f := &t.router.Interfaces[i]
			by := "interface " + f.ID
			mac(f.Network, f.MAC, by)
			for _, p := range f.Addresses {
				ip(f.Network, p.Addr(), by)
			}
		}
	case t.port != nil:
		p := t.port
		by := "port " + p.ID
		add(homeOf(p.ID), p.Network)
		mac(p.Network, p.MAC, by)
		for _, a := range p.Addresses {
			ip(p.Network, a, by)
		}
	}
}

func isCompacted(err error) bool { return errors.Is(err, rpctypes.ErrCompacted) }

// isTooLarge reports whether a transaction was too large for etcd, or for a message of gRPC.
func isTooLarge(err error) bool {
	return errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrRequestTooLarge) ||
		status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "message larger than max")
}
