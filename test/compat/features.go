package main

import (
	"slices"
	"strings"
)

// A feature is a property that operators may rely on, with the tests that prove it.
type feature struct {
	name  string
	tests string // of test/e2e
}

// on reports whether a datapath can have the feature. TC exists only with the kernel's datapath.
// Its tests have the build tag kernel.
func (f feature) on(datapath string) bool {
	return datapath == "system" || !strings.HasPrefix(f.tests, "TestTC")
}

// features has the rows of the page. In CI, make test-kernel runs exactly their tests.
var features = []feature{
	{"IPv4 is routed in the switch", "TestRoutedPacketsDoNotReachTheTap TestRoutedPacketHasTheRoutersMAC TestThreeNetworksAllPairs"},
	{"IPv6 is routed in the switch", "TestIPv6IsRoutedInTheSwitch"},
	{"Expired TTLs and hop limits are answered", "TestTTL TestIPv6HopLimit"},
	{"ARP is answered in the switch", "TestARPIsAnsweredWithoutTheKernel TestARPReplyGoesToRequester TestARPForOthersIsNotAnswered"},
	{"Neighbour solicitations are answered in the switch", "TestSolicitationsAreAnsweredWithoutTheKernel TestDuplicateAddressIsDetected"},
	{"Echo requests are answered in the switch", "TestEchoIsAnsweredWithoutTheKernel TestEchoByTheKernel"},
	{"Different MTUs, measured in the switch", "TestSmallerMTU"},
	{"Extra routes, blackhole and unreachable routes", "TestExtraRoutes TestExtraRoutesIPv6 TestBlackholeAndReject"},
	{"Several next hops for a route", "TestSeveralNextHops"},
	{"Allowed address pairs, address moves without loss", "TestAllowedAddresses TestAddressMovesWithoutAGap"},
	{"Address scopes", "TestAddressScopes"},
	{"Only valid requests are answered", "TestOnlyValidRequestsAreAnswered"},
	{"Replies are rate-limited", "TestFloodsAreLimited"},
	{"A flood does not cost other machines their ARP and ND replies", "TestFloodsDoNotAffectOthers"},
	{"Packets to unknown neighbours are rate-limited", "TestScansAreLimited"},
	{"Router advertisements", "TestRouterAdvertisements"},
	{"The namespace routes the rest", "TestOutsideIsReachedThroughTheNamespace TestUndeclaredMachineIsReachedThroughTheNamespace"},
	{"Packets that the namespace routes differently go to it", "TestRouterInsideAnExtraRoute TestMetadataBesideADefaultRoute TestForeignRoutesInTheNamespace"},
	{"`fast_path: off`", "TestFastPathOff"},
	{"Routed packets use only actions that hardware can do", "TestRoutedPacketsCanBeOffloaded TestMeasuredPacketsCanBeOffloaded"},
	{"TC has the flows of routed packets", "TestTCHasRoutedPackets TestTCHasFlowsWithoutMeasuring"},
	{"Kill and restart of the daemon without loss", "TestKilledDaemonInterruptsNothing"},
	{"ovs-vswitchd restarts", "TestSwitchRestarts"},
	{"The database restarts", "TestDatabaseRestarts"},
	{"Deleted ports, bridges and taps are restored", "TestDeletedPortsAndBridgesComeBack TestDatabaseIsRepaired TestNamespaceIsRepaired"},
	{"Changes by others are repaired", "TestDriftIsRepaired"},
	{"Port configuration and settings changed by others are restored", "TestPortConfigurationIsCorrected TestForwardingIsRestored"},
	{"Patch ports that move to another bridge keep their peers", "TestPortsMoveToAnotherBridge"},
	{"Exact counters", "TestCountersAreExact"},
	{"Beside another agent that owns the tags", "TestTagsBelongToAnotherAgent"},
	{"A bridge that another program owns", "TestExternalBridge"},
	{"A router removed from such a bridge", "TestExternalBridgeIsDeleted"},
	{"TLS", "TestTLS"},
	{"`ofdvr trace --verify`", "TestTrace"},
}

// spanning are tests of networks that span hosts. They are no feature of the page yet, because only one
// Open vSwitch was tested. make test-kernel in CI runs them too.
var spanning = strings.Fields("TestFabric TestUndeclaredMachine TestDeathOfAnotherHost TestMachineMoves TestMachineOnTwoHosts TestBroadcast")

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

// pattern returns a regular expression that matches exactly the names. It has no dollar sign, so that it
// can be passed through make and a shell.
func pattern(names []string) string { return `^(` + strings.Join(names, "|") + `)\b` }
