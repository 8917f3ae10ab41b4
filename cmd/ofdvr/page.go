package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// onLoopback reports whether only this computer reaches ADDRESS:PORT.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// pageNames are the names, besides localhost, by which a browser may ask for the
// page at ADDRESS:PORT: the one that is listened at, and this computer's.
func pageNames(addr string) (names []string) {
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		names = append(names, strings.ToLower(host))
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(name))
	}
	return names
}
