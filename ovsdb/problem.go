package ovsdb

import "fmt"

// A ProblemKind says what sort of thing is in the way.
type ProblemKind uint8

const (
	// NoDatabase: Open vSwitch has not initialized its database.
	NoDatabase ProblemKind = iota + 1
	// NoIntegrationBridge: the integration bridge does not exist.
	NoIntegrationBridge
	// Invalid: the desired state contradicts itself or cannot be had.
	Invalid
	// NameTaken: an object that is not ours has the name that we need.
	NameTaken
	// ForeignPorts: a bridge of ours cannot go because of ports that are not
	// ours.
	ForeignPorts
	// ForeignController: a bridge of ours has a controller that is not ours.
	ForeignController
	// SwitchError: ovs-vswitchd could not do what the database says.
	SwitchError
	// Moving: a port that is to be on another bridge has to leave the old one first.
	Moving
)

var kindNames = [...]string{
	NoDatabase: "no-database", NoIntegrationBridge: "no-integration-bridge", Invalid: "invalid",
	NameTaken: "name-taken", ForeignPorts: "foreign-ports", ForeignController: "foreign-controller",
	SwitchError: "switch-error", Moving: "moving",
}

// String returns a stable name such as "name-taken".
func (k ProblemKind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("problem-%d", uint8(k))
}

// A Problem is something that keeps part of the desired state from coming
// true until somebody else does something about it. What it concerns is left
// as it is; everything else is done. It is comparable, and an error.
type Problem struct {
	Kind      ProblemKind
	Router    string // the router concerned, "" if it is all or none of them
	Interface string // the router interface concerned, "" if it is all of the router
	Object    string // what we wanted or found, such as `bridge rb-r1`
	Detail    string // what is in the way
	Remedy    string // what to do about it
}

// Error says what is wrong and what to do about it.
func (p Problem) Error() string {
	s := p.Object + ": " + p.Detail
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}
