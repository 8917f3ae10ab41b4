package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// A setting is a file below /proc/sys. In its name, %s stands for a tap.
type setting struct {
	file, value string
	also        string // another accepted value
	optional    bool   // a kernel may lack it
}

// settings are the settings of a router's namespace. Some settings change others:
// net.ipv4.ip_forward also sets the setting forwarding of all links, and of later links
// (conf/default). For rp_filter, arp_ignore, arp_announce, arp_filter, proxy_arp and
// promote_secondaries, the kernel compares the value of "all" with the value of the link, and uses
// the larger one (ip-sysctl.rst). A new namespace has the IPv4 settings of the machine.
var settings = [...]setting{
	{file: "net/ipv4/ip_forward", value: "1"},
	{file: "net/ipv4/conf/default/forwarding", value: "1"},
	// The switch does not check the source of routed packets, so the kernel should not either. With
	// rp_filter, only the kernel would drop a packet if the reply leaves by another interface.
	{file: "net/ipv4/conf/all/rp_filter", value: "0"},
	{file: "net/ipv4/conf/default/rp_filter", value: "0"},
	{file: "net/ipv4/conf/all/arp_ignore", value: "1"},
	{file: "net/ipv4/conf/default/arp_ignore", value: "0", also: "1"},
	{file: "net/ipv4/conf/all/arp_announce", value: "2"},
	{file: "net/ipv4/conf/all/arp_filter", value: "0"},
	{file: "net/ipv4/conf/default/arp_filter", value: "0"},
	// With proxy_arp the router would reply for every address to which it has a route.
	{file: "net/ipv4/conf/all/proxy_arp", value: "0"},
	{file: "net/ipv4/conf/default/proxy_arp", value: "0"},
	// Machines must not be able to change the router's routes. (While it forwards, IPv6
	// ignores redirects and, unless accept_ra is 2, router advertisements.)
	{file: "net/ipv4/conf/all/accept_redirects", value: "0"},
	// When an address is replaced, its secondaries and other programs' routes must stay.
	{file: "net/ipv4/conf/all/promote_secondaries", value: "1"},
	{file: "net/ipv6/conf/all/forwarding", value: "1"},
	{file: "net/ipv6/conf/default/forwarding", value: "1"},
	{file: "net/ipv6/conf/default/accept_ra", value: "0", also: "1"},
	// With duplicate address detection, the link-local address of a new tap is unusable for a
	// second, and the router finds no neighbours in that time. Besides, the address is not unique,
	// because the router is on every host.
	{file: "net/ipv6/conf/all/accept_dad", value: "0"},
	{file: "net/ipv6/conf/default/accept_dad", value: "0"},
	// All packets of a connection use the same next hop, as in the flows.
	{file: "net/ipv4/fib_multipath_hash_policy", value: "1", optional: true},
	{file: "net/ipv6/fib_multipath_hash_policy", value: "1"},
}

// tapSettings are the additional settings of each tap. A tap that is moved into the namespace gets
// them from conf/default.
var tapSettings = [...]setting{
	{file: "net/ipv4/conf/%s/forwarding", value: "1"},
	{file: "net/ipv4/conf/%s/rp_filter", value: "0"},
	{file: "net/ipv4/conf/%s/arp_ignore", value: "0", also: "1"},
	{file: "net/ipv4/conf/%s/arp_filter", value: "0"},
	{file: "net/ipv4/conf/%s/proxy_arp", value: "0"},
	{file: "net/ipv6/conf/%s/forwarding", value: "1"},
	{file: "net/ipv6/conf/%s/accept_ra", value: "0", also: "1"},
	{file: "net/ipv6/conf/%s/accept_dad", value: "0"},
}

// A tap needs the tap6Settings before it can have IPv6 addresses.
var tap6Settings = [...]setting{
	{file: "net/ipv6/conf/%s/disable_ipv6", value: "0"},
}

// sysctls sets settings. It must run in the namespace.
func (e *ensurer) sysctls() error { return e.set(settings[:], "") }

// conf sets the settings of t. It must run in the namespace, which contains t.
func (e *ensurer) conf(t *Tap, _ netlink.Link) error {
	err := e.set(tapSettings[:], t.Name)
	if slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		err = errors.Join(err, e.set(tap6Settings[:], t.Name))
	}
	return err
}

// set writes those settings of a tap, or of the namespace, that differ.
func (e *ensurer) set(settings []setting, tap string) error {
	var errs []error
	for _, s := range settings {
		name := strings.Replace(s.file, "%s", tap, 1)
		key := strings.ReplaceAll(name, "/", ".")
		was, err := e.sysctl.read(name)
		if errors.Is(err, fs.ErrNotExist) && (s.optional || tap != "" || strings.HasPrefix(name, "net/ipv6/")) {
			continue // a kernel without IPv6 or multipath routes, an MTU too small for IPv6, or a deleted tap
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s in namespace %s: %w", key, e.d.Name, err))
			continue
		}
		if was == s.value || s.also != "" && was == s.also {
			continue
		}
		if err := e.write(procSys+name, s.value); err != nil {
			errs = append(errs, fmt.Errorf("set %s=%s in namespace %s: %w", key, s.value, e.d.Name, err))
			continue
		}
		e.did("set %s=%s in %s", key, s.value, e.d.Name)
		if e.created {
			continue // does not report drift, because a new namespace inherits the settings of the machine
		}
		e.Settings = append(e.Settings, fmt.Sprintf("%s was %s, is %s again", key, was, s.value))
	}
	return errors.Join(errs...)
}
