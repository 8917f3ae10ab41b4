package ofproto

import "fmt"

// A Mod is a message that changes the state of a switch. It is a [FlowMod], a [GroupMod] or a
// [MeterMod], or a pointer to one of these, so that a long list can hold pointers instead of
// copies.
type Mod interface {
	Message
	fmt.Stringer
	value() Mod // not a pointer
}

func (m FlowMod) value() Mod  { return m }
func (m GroupMod) value() Mod { return m }
func (m MeterMod) value() Mod { return m }

// A RefusedError reports that a switch refused to change a flow, a group or a
// meter.
type RefusedError struct {
	Mod  Mod // a [FlowMod], [GroupMod] or [MeterMod]
	Code ErrorCode
}

// Refused returns the error for a switch that refused m with code.
func Refused(m Mod, code ErrorCode) *RefusedError { return &RefusedError{m.value(), code} }

func (e *RefusedError) Error() string { return fmt.Sprintf("switch refused to %v: %v", e.Mod, e.Code) }

// Unwrap returns the code.
func (e *RefusedError) Unwrap() error { return e.Code }
