package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// A setting is a file below /proc/sys. In its name %s stands for a tap.
type setting struct {
	file, value string
	also        string // another value that is right
	optional    bool   // a kernel may lack it
}

// settings are what a router's namespace needs. Several are set by changing another:
// net.ipv4.ip_forward is also that of all links and of links to come (conf/default).
// For rp_filter, arp_ignore, arp_announce, arp_filter, proxy_arp and promote_secondaries, the
// kernel takes the larger of the values of "all" and of the link (ip-sysctl.rst).
// The IPv4 settings of a new namespace are those of the machine, whatever these are.
var settings = [...]setting{
	{file: "net/ipv4/ip_forward", value: "1"},
	{file: "net/ipv4/conf/default/forwarding", value: "1"},
	// The switch does not look at the source of what it routes either. A packet whose answer
	// takes another interface would be dropped in the kernel only.
	{file: "net/ipv4/conf/all/rp_filter", value: "0"},
	{file: "net/ipv4/conf/default/rp_filter", value: "0"},
	{file: "net/ipv4/conf/all/arp_ignore", value: "1"},
	{file: "net/ipv4/conf/default/arp_ignore", value: "0", also: "1"},
	{file: "net/ipv4/conf/all/arp_announce", value: "2"},
	{file: "net/ipv4/conf/all/arp_filter", value: "0"},
	{file: "net/ipv4/conf/default/arp_filter", value: "0"},
	// The router would answer for every address that it has a route to.
	{file: "net/ipv4/conf/all/proxy_arp", value: "0"},
	{file: "net/ipv4/conf/default/proxy_arp", value: "0"},
	// A machine must not be able to change the router's routes. (IPv6 ignores redirects and,
	// but for a value of 2, router advertisements while it forwards.)
	{file: "net/ipv4/conf/all/accept_redirects", value: "0"},
	// An address that is replaced takes neither its successor nor others' routes with it.
	{file: "net/ipv4/conf/all/promote_secondaries", value: "1"},
	{file: "net/ipv6/conf/all/forwarding", value: "1"},
	{file: "net/ipv6/conf/default/forwarding", value: "1"},
	{file: "net/ipv6/conf/default/accept_ra", value: "0", also: "1"},
	// Or a new tap's link-local address is of no use for a second, and the
	// router finds no neighbours. Besides, it is not unique: the router is on
	// every host.
	{file: "net/ipv6/conf/all/accept_dad", value: "0"},
	{file: "net/ipv6/conf/default/accept_dad", value: "0"},
	// Of several next hops a connection keeps to one, as in the flows.
	{file: "net/ipv4/fib_multipath_hash_policy", value: "1", optional: true},
	{file: "net/ipv6/fib_multipath_hash_policy", value: "1"},
}

// tapSettings are what each tap needs besides. A tap that comes into the namespace has
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

// tap6Settings are what a tap with IPv6 addresses needs before it can have them.
var tap6Settings = [...]setting{
	{file: "net/ipv6/conf/%s/disable_ipv6", value: "0"},
}

// sysctls must be called in the namespace.
func (e *ensurer) sysctls() error { return e.set(settings[:], "") }

// conf must be called in the namespace, which t is in.
func (e *ensurer) conf(t *Tap, _ netlink.Link) error {
	err := e.set(tapSettings[:], t.Name)
	if slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		err = errors.Join(err, e.set(tap6Settings[:], t.Name))
	}
	return err
}

// set makes the settings of a tap, or of the namespace, what they should be.
func (e *ensurer) set(settings []setting, tap string) error {
	var errs []error
	for _, s := range settings {
		name := strings.Replace(s.file, "%s", tap, 1)
		file := "/proc/sys/" + name
		key := strings.ReplaceAll(name, "/", ".")
		have, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && (s.optional || tap != "" || strings.HasPrefix(name, "net/ipv6/")) {
			continue // a kernel without IPv6 or routes with several next hops, an MTU too small for IPv6, a tap that has gone
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s in namespace %s: %w", key, e.d.Name, err))
			continue
		}
		was := strings.TrimSpace(string(have))
		if was == s.value || s.also != "" && was == s.also {
			continue
		}
		if err := e.write(file, s.value); err != nil {
			errs = append(errs, fmt.Errorf("set %s=%s in namespace %s: %w", key, s.value, e.d.Name, err))
			continue
		}
		e.did("set %s=%s in %s", key, s.value, e.d.Name)
		if e.created {
			continue // it has those of the machine
		}
		e.Settings = append(e.Settings, fmt.Sprintf("%s was %s, is %s again", key, was, s.value))
	}
	return errors.Join(errs...)
}
