package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// onLoopback reports whether ADDRESS:PORT is reachable only from this host.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// hostName returns the name of this computer, for the title of the page. If the computer has
// no name, it returns "".
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// pageNames returns the host names, besides localhost, under which browsers may request the
// page at ADDRESS:PORT. These are the host name in the address, and the name of this host.
func pageNames(addr string) (names []string) {
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		names = append(names, strings.ToLower(host))
	}
	if name := hostName(); name != "" {
		names = append(names, strings.ToLower(name))
	}
	return names
}
