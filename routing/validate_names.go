package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A nameTable has the owners of names that must be unique.
//
// Everything that ofdvr makes is in one Open vSwitch, where bridges, patch ports and taps
// share one name space. External bridges may be in several switches. So the name of a port
// must differ only from the other ports of its bridge. Two external bridges may have the same
// name if their datapath IDs differ.
type nameTable struct {
	links      map[string]link      // made by ofdvr, by name
	external   map[extPort]string   // ports of external bridges
	namespaces map[string]string    // → router ID
	bridges    map[string][]*Router // routers by the name of their bridge; several if the datapath IDs differ
	dpids      map[ofproto.DPID]string
}

type extPort struct {
	router *Router
	name   string
}

func (t *nameTable) init() {
	if t.links == nil {
		t.links = make(map[string]link)
		t.external = make(map[extPort]string)
		t.namespaces = make(map[string]string)
		t.bridges = make(map[string][]*Router)
		t.dpids = make(map[ofproto.DPID]string)
	}
}

func (v *validator) checkBridge(p path, r *Router) {
	t := &v.names
	t.init()
	if r.ID == "" { // has an error already, and nothing can be derived
		return
	}
	v.checkNamespace(p, r)
	if name := r.BridgeName(); name == "" {
		if r.DPID() == 0 {
			v.bad(p, "bridge.name", "the bridge is external: it needs a name or a datapath_id")
		}
	} else if err := checkBridgeName(r, name); err != nil {
		v.bad(p, "bridge.name", "%w", err)
	} else if other := v.sameBridge(r, name); other != (link{}) {
		v.taken(p, "bridge.name", other.of, "bridge %q is already used by %v", name, other)
	} else {
		t.bridges[name] = append(t.bridges[name], r)
		if r.Bridge.Managed {
			t.links[name] = link{bridgeLink, owner{KindRouter, r.ID}}
		}
	}
	if r.Bridge.Managed {
		v.checkLink(p, "id", r.FabricPort(), link{fabricPortLink, owner{KindRouter, r.ID}})
		v.checkLink(p, "id", r.FabricPeer(), link{fabricPeerLink, owner{KindRouter, r.ID}})
	}
	if id := r.DPID(); id != 0 {
		other, used := t.dpids[id]
		if !used {
			var c claim
			c, used = v.claimed(datapathID, dpidValue(id))
			other = c.by
		}
		if used {
			if other != r.ID { // a router with the same ID has an error already
				v.taken(p, "bridge.datapath_id", owner{KindRouter, other}, "datapath ID %v is already used by router %q", id, other)
			}
			return
		}
		t.dpids[id] = r.ID
	}
}

// sameBridge returns the other router or link that uses the bridge called name; zero if no
// other uses it. Managed bridges and all links made by ofdvr are in one switch. An external
// bridge is a different bridge if both datapath IDs are known and differ.
func (v *validator) sameBridge(r *Router, name string) link {
	same := func(other *Router) bool {
		return r.Bridge.Managed && other.Bridge.Managed ||
			r.DPID() == 0 || other.DPID() == 0 || r.DPID() == other.DPID()
	}
	here := v.names.bridges[name]
	for _, other := range here {
		if other.ID == r.ID && !explicit(other, r) {
			continue // a router with the same ID has an error already
		}
		if same(other) {
			return link{of: owner{KindRouter, other.ID}}
		}
	}
	if c, used := v.base.claimed(bridgeName, name, func(c claim) bool {
		return !v.gone[owner{KindRouter, c.by}] && same(v.base.Router(c.by))
	}); used {
		return link{of: owner{KindRouter, c.by}}
	}
	if l, used := v.fabricCalled(name); used && r.DPID() == 0 {
		return l
	}
	if r.Bridge.Managed {
		if l, used := v.linkCalled(name); used && l.of != (owner{KindRouter, r.ID}) { // a router with the same ID has an error already
			return l
		}
	}
	return link{}
}

// linkCalled returns the link called name.
func (v *validator) linkCalled(name string) (link, bool) {
	if l, used := v.names.links[name]; used {
		return l, true
	}
	if l, used := v.fabricCalled(name); used {
		return l, true
	}
	c, used := v.claimed(linkName, name)
	if !used && v.uplinkHost("") != "" {
		c, used = v.claimed(taggedName, name)
	}
	return c.link, used
}

func explicit(a, b *Router) bool { return a.Bridge.Name != "" || b.Bridge.Name != "" }

func (v *validator) checkNamespace(p path, r *Router) {
	if r.Fallback != FallbackNamespace {
		return
	}
	name := r.NamespaceName()
	if err := checkNamespaceName(name); err != nil {
		if r.Namespace != "" { // without a configured name, the ID has the error
			v.bad(p, "namespace", "%w", err)
		}
		return
	}
	other, used := v.names.namespaces[name]
	if c, claimed := v.claimed(namespaceName, name); !used && claimed {
		other, used = c.by, true
	}
	switch {
	case !used:
		v.names.namespaces[name] = r.ID
	case other != r.ID || r.Namespace != "":
		v.taken(p, "namespace", owner{KindRouter, other}, "namespace %q is already used by router %q", name, other)
	}
}

func (v *validator) checkInterfaceNames(p path, r *Router, f *Interface) {
	hasTap := r.Fallback == FallbackNamespace
	if !r.Bridge.Managed {
		v.checkExternalPort(p, r, f, "patch_port", f.PatchPort)
		if hasTap || f.TapPort != "" {
			v.checkExternalPort(p, r, f, "tap_port", f.TapPort)
		}
		return
	}
	if f.ID == "" { // has an error already, and nothing can be derived
		return
	}
	of := owner{KindInterface, f.ID}
	v.checkLink(p, "patch_port", f.PatchName(), link{patchLink, of})
	if hasTap {
		v.checkLink(p, "tap_port", f.TapName(), link{tapLink, of})
		if f.RA != nil {
			if err := checkRadvdName(f.TapName()); err != nil {
				v.bad(p, "tap_port", "%w", err)
			}
		}
	}
	v.checkLink(p, "id", f.PeerName(), link{peerLink, of})
}

func (v *validator) checkExternalPort(p path, r *Router, f *Interface, key, name string) {
	if name == "" {
		v.bad(p, key, "the bridge is external: interface %q needs a %s", f.ID, key)
		return
	}
	if err := checkIfname(name); err != nil {
		v.bad(p, key, "%w", err)
		return
	}
	if name == r.Bridge.Name {
		v.bad(p, key, "%s %q is the bridge itself", key, name)
		return
	}
	if other, used := v.names.external[extPort{r, name}]; used {
		v.bad(p, key, "%s %q is already %s", key, name, other)
		return
	}
	v.names.external[extPort{r, name}] = fmt.Sprintf("the %s of interface %q", key, f.ID)
}

// checkLink checks the name of a link that ofdvr makes for the object at p.
func (v *validator) checkLink(p path, key, name string, whose link) {
	err := checkIfname(name)
	if err == nil && whose.what == tapLink {
		err = checkDevice(name)
	}
	if err != nil {
		v.bad(p, key, "%w", err)
		return
	}
	switch other, used := v.linkCalled(name); {
	case !used:
		v.names.links[name] = whose
	case other != whose: // an object with the same ID is equal, and has an error already
		v.taken(p, key, other.of, "the name %q for %s is already used by %v", name, whose.what, other)
	}
}

// checkIfname returns an error if name cannot be the name of a network interface. It applies
// the rules of Linux (dev_valid_name in net/core/dev.c) and of Open vSwitch (no slash), and
// allows only printable ASCII. It refuses a percent sign, because Linux treats it as a
// pattern.
func checkIfname(name string) error {
	if len(name) > maxIfname {
		return fmt.Errorf("the name %q has %d characters, more than %d", name, len(name), maxIfname)
	}
	ok := name != "" && name != "." && name != ".."
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f, c == '/', c == ':', c == '%':
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%q cannot be the name of a network interface", name)
	}
	return nil
}

// checkDevice returns an error if the kernel reserves name: the settings of such a device
// would be at the path of the settings for all devices (net/ipv4/devinet.c).
func checkDevice(name string) error {
	if name == "all" || name == "default" {
		return fmt.Errorf("%q cannot be the name of a network interface: Linux uses it for the settings of all interfaces", name)
	}
	return nil
}

// checkBridgeName checks the name of a bridge. For a managed bridge, name is also the name of
// a device.
func checkBridgeName(r *Router, name string) error {
	if err := checkIfname(name); err != nil || !r.Bridge.Managed {
		return err
	}
	return checkDevice(name)
}

// checkRadvdName returns an error if radvd.conf(5) cannot contain the name of an interface.
// The file's syntax has no quotes, and a misread name stops the advertisements of the whole
// router.
func checkRadvdName(name string) error {
	const why = "%q cannot be the name of a tap that sends router advertisements: %s; choose another tap_port"
	number := strings.Trim(name, "-.0123456789") == "" && strings.ContainsAny(name, "0123456789")
	switch {
	case strings.ContainsAny(name, "\"';{}|") || strings.HasPrefix(name, "#"):
		return fmt.Errorf(why, name, "radvd's configuration cannot contain one of its characters")
	case number:
		return fmt.Errorf(why, name, "radvd parses it as a number")
	case slices.Contains(radvdWords, name):
		return fmt.Errorf(why, name, "it is a keyword of radvd's configuration")
	}
	return nil
}

// radvdWords are the keywords of radvd.conf(5), up to version 2.20, that could be names of
// links.
var radvdWords = []string{
	"AdvAutonomous", "AdvContextLength", "AdvCurHopLimit", "AdvIntervalOpt", "AdvLinkMTU", "AdvManagedFlag", "AdvOnLink", "AdvRASrcAddress",
	"AdvRetransTimer", "AdvRouterAddr", "AdvSendAdvert", "AdvVersionHigh", "AdvVersionLow", "Base6Interface",
	"DNSSL", "DeprecatePrefix", "FlushDNSSL", "FlushRDNSS", "IgnoreIfMissing", "RDNSS", "RemoveRoute", "UnicastOnly", "abro", "clients", "high", "infinity", "interface", "low", "lowpanco", "medium", "nat64prefix", "off", "on", "prefix", "route",
}

func checkNamespaceName(name string) error {
	ok := name != "" && name != "." && name != ".." && len(name) <= 255
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == 0x7f || c == '/' {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%q cannot be the name of a namespace: it has to be a file name", name)
	}
	return nil
}
