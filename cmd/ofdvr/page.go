package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// onLoopback reports whether ADDRESS:PORT is reachable from this host alone.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// hostName returns the name of this computer, which the title of the page has; "" if it
// has none.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// pageNames returns the host names, besides localhost, under which browsers may request the
// page at ADDRESS:PORT: that of the address, and that of this host.
func pageNames(addr string) (names []string) {
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		names = append(names, strings.ToLower(host))
	}
	if name := hostName(); name != "" {
		names = append(names, strings.ToLower(name))
	}
	return names
}
