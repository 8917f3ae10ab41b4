package reconcile

// A State is the state of a [Reconciler]. The diagram has all transitions. The transition from any
// state is drawn once:
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
// reconciler ends with the connection. The next connection has a new reconciler, which starts
// in waiting.
type State uint8

// The states.
const (
	Waiting    State = iota // waits for the intent and the bridge's ports; nothing has been sent
	Claiming                // requests the role of master, or of slave
	Standby                 // another controller leads; differences are not repaired
	Reading                 // reads the switch
	Committing              // sends a difference, or waits for the result
	Paused                  // waits before the next change, because other programs undo our repairs repeatedly, or the switch failed
	Settled                 // the switch holds the program
	Degraded                // the switch holds the program, apart from refused changes
)

// states are the names of all states, in order.
var states = [...]string{"waiting", "claiming", "standby", "reading", "committing", "paused", "settled", "degraded"}

// String returns the state's name, in lower case.
func (s State) String() string { return states[s] }

// States returns the names of all states.
func States() []string { return states[:] }
