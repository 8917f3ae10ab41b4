package ovsdb

import "fmt"

// A ProblemKind is the cause of a [Problem].
type ProblemKind uint8

const (
	// NoDatabase means that Open vSwitch has not initialized its database.
	NoDatabase ProblemKind = iota + 1
	// NoIntegrationBridge means that the integration bridge does not exist.
	NoIntegrationBridge
	// Invalid means that the desired state contradicts itself or is impossible.
	Invalid
	// NameTaken means that an object that we do not own has a name that we need.
	NameTaken
	// ForeignPorts means that one of our bridges cannot be removed, because it has ports that
	// we do not own.
	ForeignPorts
	// ForeignController means that one of our bridges has a controller that we did not set.
	ForeignController
	// SwitchError means that ovs-vswitchd could not apply the database.
	SwitchError
	// Moving means that a port moves to another bridge and has not left the old bridge yet.
	Moving
	// TagChanged means that a port has our mark, but another tag than we set, and no desired
	// tag any more. The plan keeps the tag and removes our mark, so only one plan reports the
	// problem.
	TagChanged
	// HostAddresses means that a link that must become a port has addresses of the host.
	HostAddresses
)

var kindNames = [...]string{
	NoDatabase: "no-database", NoIntegrationBridge: "no-integration-bridge", Invalid: "invalid",
	NameTaken: "name-taken", ForeignPorts: "foreign-ports", ForeignController: "foreign-controller",
	SwitchError: "switch-error", Moving: "moving", TagChanged: "tag-changed", HostAddresses: "host-addresses",
}

// String returns a stable name, such as "name-taken".
func (k ProblemKind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("problem-%d", uint8(k))
}

// A Problem prevents a part of the desired state until its cause, outside of this package, is
// removed. The affected rows stay unchanged, and everything else is realized. A Problem is
// comparable, and it is an error.
type Problem struct {
	Kind      ProblemKind
	Router    string // the router concerned, "" for all or none
	Interface string // the router interface concerned, "" for the whole router
	Fabric    bool   // the problem concerns the fabric, or the tag of a machine's port
	Network   string // the network concerned; only with Fabric
	Object    string // the desired or existing object, such as `bridge rb-r1`
	Detail    string // description of the problem
	Remedy    string // action for the operator
}

// Error returns the object, the detail and the remedy.
func (p Problem) Error() string {
	s := p.Object + ": " + p.Detail
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}
