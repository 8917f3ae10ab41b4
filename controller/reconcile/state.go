package reconcile

// A State is the state of a [Reconciler]. These are the transitions; the one that is possible
// in any state is drawn once:
//
//	waiting ──wanted──► claiming ──master──► reading ──differs──► committing ──confirmed──► settled
//	                    │      ▲              ▲ │ └──────────── nothing differs ──────────► degraded
//	                slave│  led │              │ │                     ▲ │ ▲                  │  │  │
//	                    ▼      │              │ └──not of late,─► paused │ └──wanted, retry, ─┘  │
//	                    standby┘              │     others did it        │    drift               │
//	                    ▲                     └─── unknown outcome ──────┘                        │
//	                    └── another controller is master (any state) ◄────────────────────────────┘
//
// From settled and degraded, an audit or a gap in the flow monitor leads to reading. The
// reconciler ends with the connection; the next one starts in waiting and knows nothing.
type State uint8

// The states.
const (
	Waiting    State = iota // for the intent and the bridge's ports; nothing has been sent
	Claiming                // the switch is asked for the role of master, or of slave
	Standby                 // another controller leads; differences are not repaired
	Reading                 // the switch is being read
	Committing              // a difference is being sent, or its result awaited
	Paused                  // a difference has to wait: others undo our repairs over and over, or the switch failed
	Settled                 // the switch holds the program
	Degraded                // it does, apart from what it refuses
)

// states are the names of all states, in order.
var states = [...]string{"waiting", "claiming", "standby", "reading", "committing", "paused", "settled", "degraded"}

// String returns the state's name, in lower case.
func (s State) String() string { return states[s] }

// States returns the names of all states.
func States() []string { return states[:] }
