package main

import (
	"slices"
	"strings"
)

// A feature is something that an operator may rely on, with the tests that prove it.
type feature struct {
	name  string
	tests string // of test/e2e
}

// on reports whether a datapath can have the feature. TC exists only with the kernel's; its tests have the
// build tag kernel.
func (f feature) on(datapath string) bool {
	return datapath == "system" || !strings.HasPrefix(f.tests, "TestTC")
}

// features are the rows of the page. make test-kernel in CI runs exactly their tests.
var features = []feature{
	{"IPv4 is routed in the switch", "TestRoutedPacketsDoNotReachTheTap TestRoutedPacketHasTheRoutersMAC TestThreeNetworksAllPairs"},
	{"IPv6 is routed in the switch", "TestIPv6IsRoutedInTheSwitch"},
	{"Time and hop limits that run out are answered", "TestTTL TestIPv6HopLimit"},
	{"ARP is answered in the switch", "TestARPIsAnsweredWithoutTheKernel TestARPReplyGoesToRequester TestARPForOthersIsNotAnswered"},
	{"Neighbour solicitations are answered in the switch", "TestSolicitationsAreAnsweredWithoutTheKernel TestDuplicateAddressIsDetected"},
	{"Echo requests are answered in the switch", "TestEchoIsAnsweredWithoutTheKernel TestEchoByTheKernel"},
	{"Different MTUs, measured in the switch", "TestSmallerMTU"},
	{"Extra routes, black holes, rejections", "TestExtraRoutes TestExtraRoutesIPv6 TestBlackholeAndReject"},
	{"Several next hops for a route", "TestSeveralNextHops"},
	{"Allowed address pairs, moves without a gap", "TestAllowedAddresses TestAddressMovesWithoutAGap"},
	{"Address scopes", "TestAddressScopes"},
	{"Only valid requests are answered", "TestOnlyValidRequestsAreAnswered"},
	{"Answers limited in rate", "TestFloodsAreLimited"},
	{"Each machine gets its answers about MAC addresses", "TestFloodsDoNotAffectOthers"},
	{"Packets for unknown neighbours limited in rate", "TestScansAreLimited"},
	{"Router advertisements", "TestRouterAdvertisements"},
	{"The namespace takes the rest", "TestOutsideIsReachedThroughTheNamespace TestUndeclaredMachineIsReachedThroughTheNamespace"},
	{"What the namespace routes in another way goes to it", "TestRouterInsideAnExtraRoute TestMetadataBesideADefaultRoute TestForeignRoutesInTheNamespace"},
	{"`fast_path: off`", "TestFastPathOff"},
	{"Routed packets need only what hardware can do", "TestRoutedPacketsCanBeOffloaded TestMeasuredPacketsCanBeOffloaded"},
	{"TC has the flows of routed packets", "TestTCHasRoutedPackets TestTCHasFlowsWithoutMeasuring"},
	{"The daemon is killed and restarted without loss", "TestKilledDaemonInterruptsNothing"},
	{"ovs-vswitchd restarts", "TestSwitchRestarts"},
	{"The database restarts", "TestDatabaseRestarts"},
	{"Deleted ports, bridges and taps come back", "TestDeletedPortsAndBridgesComeBack TestDatabaseIsRepaired TestNamespaceIsRepaired"},
	{"Changes by others are noticed and mended", "TestDriftIsRepaired"},
	{"Port configuration and settings by others are set back", "TestPortConfigurationIsCorrected TestForwardingIsRestored"},
	{"Patch ports that change bridges keep their peers", "TestPortsMoveToAnotherBridge"},
	{"Exact counters", "TestCountersAreExact"},
	{"Beside another agent, which owns the tags", "TestTagsBelongToAnotherAgent"},
	{"A bridge that another program owns", "TestExternalBridge"},
	{"A router that leaves such a bridge", "TestExternalBridgeIsDeleted"},
	{"TLS", "TestTLS"},
	{"`ofdvr trace --verify`", "TestTrace"},
}

// tests returns the names of the tests of all features that a datapath can have, in order, each once.
func tests(datapath string) []string {
	var out []string
	for _, f := range features {
		if !f.on(datapath) {
			continue
		}
		for _, t := range strings.Fields(f.tests) {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// pattern returns a regular expression that matches exactly the names of all features' tests. It has no
// dollar sign, so that it can be passed through make and a shell.
func pattern() string { return `^(` + strings.Join(tests("system"), "|") + `)\b` }
