package hosts

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ofdvr/ofdvr/routing/compile"
)

// Messages are Ethernet frames, because tunnels carry only these. Their EtherType is
// [compile.HelloType], which is for local experiments (IEEE 802), and their content is JSON.
// Their VNI is 0, which no network has.
const (
	headerLen = 14
	maxText   = 1100 // bytes of JSON in a message; small enough for any tunnel
)

// The MAC addresses of frames have no meaning: a frame goes from one tunnel end to another.
var header = [headerLen]byte{0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, compile.HelloType >> 8, compile.HelloType & 0xff}

// A message is a hello, a part of the sender's claims, or a difference: a change of its claims from
// version Claims-1 to version Claims.
type message struct {
	Host   string `json:"host"`   // the sender
	Run    uint64 `json:"run"`    // a random number of the sender's daemon, drawn when it starts
	Claims uint64 `json:"claims"` // version of the sender's claims; 0 if it does not know them

	// Of a hello.
	Version string `json:"version,omitempty"` // of ofdvr
	Intent  string `json:"intent,omitempty"`  // digest
	Want    bool   `json:"want,omitempty"`    // asks for the receiver's claims
	Deaf    bool   `json:"deaf,omitempty"`    // the sender does not receive the messages of the receiver
	Probe   uint64 `json:"probe,omitempty"`   // if not 0, asks for an Echo
	Echo    uint64 `json:"echo,omitempty"`    // the Probe that this hello answers

	// Of a part.
	Part  int     `json:"part,omitempty"`  // from 1
	Parts int     `json:"parts,omitempty"` // their number
	Ports []claim `json:"ports,omitempty"`

	// Of a difference.
	Put  []claim  `json:"put,omitempty"`  // new claims, and claims with a new turn
	Gone []string `json:"gone,omitempty"` // ports that the sender does not claim any more
}

// A claim means that a machine is plugged into the sender's integration bridge.
type claim struct {
	Port string `json:"port"`
	Turn uint64 `json:"turn,omitempty"` // higher than the turns of all claims that the sender knew when the machine was plugged in; 0 if it was found at the start and its turn was not kept

	seq uint64 // of a claim in the store: see [Claim].Version; of an own claim: what is written there; else 0
}

// frame returns m as a frame.
func (m message) frame() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // cannot fail: it has only strings and numbers
	}
	return append(header[:], text...)
}

var errNotAMessage = errors.New("not a message of a host")

// parse reads a frame. Padding at its end is ignored.
func parse(frame []byte) (m message, err error) {
	if len(frame) < headerLen || binary.BigEndian.Uint16(frame[12:]) != compile.HelloType {
		return m, errNotAMessage
	}
	text := frame[headerLen:]
	for len(text) > 0 && text[len(text)-1] == 0 {
		text = text[:len(text)-1]
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: %w", errNotAMessage, err)
	}
	if m.Host == "" || m.Part < 0 || m.Part > maxParts || m.Parts < 0 || m.Parts > maxParts {
		return m, errNotAMessage
	}
	return m, nil
}

// maxParts limits the memory for a host's claims. No host has so many machines that it needs
// more parts.
const maxParts = 4096
