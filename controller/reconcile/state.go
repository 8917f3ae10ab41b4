package reconcile

// A State is where a [Reconciler] stands. These are the transitions; what
// happens in any state is listed once:
//
//	waiting ──wanted──► claiming ──master──► reading ──differs──► committing ──confirmed──► settled
//	                    │      ▲              ▲ │ └──────────── nothing differs ──────────► degraded
//	                slave│  led │              │ │                     ▲ │ ▲                  │  │  │
//	                    ▼      │              │ └──not of late,─► paused │ └──wanted, retry, ─┘  │
//	                    standby┘              │     others did it        │    drift               │
//	                    ▲                     └─── unknown outcome ──────┘                        │
//	                    └── another controller is master (any state) ◄────────────────────────────┘
//
// From settled and degraded an audit, and what the switch could not tell in
// full, lead to reading. The end of the connection ends the Reconciler; the
// next one begins with waiting and believes nothing.
type State uint8

// The states.
const (
	Waiting    State = iota // for the intent and the bridge's ports; nothing has been sent
	Claiming                // the switch is asked for the role of master, or of slave
	Standby                 // another controller leads; differences are seen but not mended
	Reading                 // what the switch holds is being read back
	Committing              // a difference is being sent, or its outcome is awaited
	Paused                  // a difference is known, but it waits: others undo our repairs over and over, or the switch failed
	Settled                 // the switch holds what is wanted
	Degraded                // it does, but for what it refuses
)

// States are all states, in order.
var states = [...]string{"waiting", "claiming", "standby", "reading", "committing", "paused", "settled", "degraded"}

// String returns the state's name, in lower case.
func (s State) String() string { return states[s] }

// States returns the names of all states.
func States() []string { return states[:] }
