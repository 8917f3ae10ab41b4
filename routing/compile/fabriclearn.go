package compile

import "github.com/ofdvr/ofdvr/ofproto"

// This file has the learned flows of the fabric bridge. They are for machines that are not declared.

// For machines that are not declared, a host learns where they are. learnHere is the number of those on
// this host, for each network. The host sends no packets of others, so that a machine that sends from
// many MAC addresses cannot fill the tables of other hosts. learnElsewhere is the number of those on all
// other hosts, for each network: machines on many hosts would be needed to fill the table. A learned flow
// expires if the machine has sent nothing for learnAge, as in Open vSwitch's MAC tables. Packets to the
// machine do not prolong that.
const (
	learnHere      = 1024
	learnElsewhere = 16 * learnHere
	learnAge       = 300 // seconds
)

// learn returns the action that learns the sender's host from a packet that came by a tunnel.
func (c *fabricCompiler) learn(n *spanning) ofproto.Learn {
	return ofproto.Learn{Table: fabricLearned, Priority: prioLearn, Cookie: CookieOf(n.object(), RoleLearned), Hard: learnAge, Limit: learnElsewhere,
		Specs: ofproto.SpecsOf(append([]ofproto.LearnSpec{
			ofproto.LearnField(ofproto.LearnMatch, ofproto.Whole(ofproto.FieldMetadata), ofproto.Whole(ofproto.FieldMetadata)),
			ofproto.LearnField(ofproto.LearnMatch, ofproto.Whole(ofproto.FieldEthDst), ofproto.Whole(ofproto.FieldEthSrc)),
		}, c.backToSender()...)...)}
}

// backToSender returns the actions of a learned flow. They send packets to the host that sent
// the packet from which the flow was learned.
func (c *fabricCompiler) backToSender() []ofproto.LearnSpec {
	src, dst := ofproto.Whole(ofproto.FieldTunIPv4Src), ofproto.Whole(ofproto.FieldTunIPv4Dst)
	if len(c.peers) > 0 && c.peers[0].Tunnel.Address.Is6() {
		src, dst = ofproto.Whole(ofproto.FieldTunIPv6Src), ofproto.Whole(ofproto.FieldTunIPv6Dst)
	}
	id := ofproto.Whole(ofproto.FieldTunID)
	return []ofproto.LearnSpec{
		ofproto.LearnField(ofproto.LearnLoad, id, id),
		ofproto.LearnField(ofproto.LearnLoad, dst, src),
		ofproto.LearnPort(ofproto.Whole(ofproto.FieldInPort16)),
	}
}

// The values of a register that say where a machine is that is not declared.
const (
	sideReg      = 0
	behindUplink = 1
	onOtherHost  = 1
	onThisHost   = 2
)

// sideOf returns the action that learns where the sender of a packet is. The learned flow sets the
// register for packets to the sender. The latest packet counts. Without such a flow (as after a restart
// of the switch), packets from this host to the network of an uplink go to both sides, and packets from
// tunnels are dropped.
func (c *fabricCompiler) sideOf(n *spanning, side uint64) ofproto.Learn {
	learn := ofproto.Learn{Table: fabricSeen, Priority: prioLearn, Cookie: CookieOf(n.object(), RoleLearned), Hard: learnAge, Limit: learnElsewhere,
		Specs: ofproto.SpecsOf(
			ofproto.LearnValue(ofproto.LearnMatch, ofproto.Whole(ofproto.FieldMetadata), n.mark()),
			ofproto.LearnField(ofproto.LearnMatch, ofproto.Whole(ofproto.FieldEthDst), ofproto.Whole(ofproto.FieldEthSrc)),
			ofproto.LearnValue(ofproto.LearnLoad, ofproto.Whole(ofproto.FieldReg0+sideReg), side))}
	if side == onThisHost { // the limit is for each cookie
		learn.Cookie, learn.Limit, learn.Result = CookieOf(n.object(), RoleLearnedHere), learnHere, limitBit()
	}
	return learn
}

// fromHere returns the instructions for packets of machines of this host. A bit becomes 1 if the machine is
// declared, or if it is one of learnHere others.
func fromHere() ofproto.Instructions {
	return ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Resubmit{Port: ofproto.PortInPort, Table: fabricOrigin})}, ofproto.Goto{Table: fabricLimit})
}

// limitBit is the bit that fromHere sets, and belowLimit matches it.
func limitBit() ofproto.Subfield { return ofproto.BitRange(ofproto.FieldReg0+1, 0, 0) }
func belowLimit() ofproto.Field  { return ofproto.Reg(1, 1, 1) }
