package main

import (
	"errors"
	"strconv"
)

// portMetrics is the number of ports with separate metrics. It is a flag with the values off,
// all, or a number.
type portMetrics int

const (
	allPorts         portMetrics = -1
	defaultPortCount portMetrics = 100
)

// Set implements [pflag.Value].
func (p *portMetrics) Set(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case s == "off":
		*p = 0
	case s == "all":
		*p = allPorts
	case err != nil || n <= 0:
		return errors.New("want off, all or a number of ports")
	default:
		*p = portMetrics(n)
	}
	return nil
}

func (p *portMetrics) String() string {
	switch *p {
	case 0:
		return "off"
	case allPorts:
		return "all"
	}
	return strconv.Itoa(int(*p))
}

// Type implements [pflag.Value].
func (p *portMetrics) Type() string { return "PORTS" }
