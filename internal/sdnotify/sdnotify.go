// Package sdnotify reports the state of the program to a service manager such as systemd,
// as described in sd_notify(3).
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// States that can be sent, in addition to [Status].
const (
	Ready    = "READY=1"    // the program has started
	Stopping = "STOPPING=1" // the program is shutting down
	Alive    = "WATCHDOG=1" // the program works; see [Notifier.Watchdog]
)

// Status returns a one-line description of the state for people.
func Status(text string) string { return "STATUS=" + strings.Join(strings.Fields(text), " ") }

// patience is the maximum time that sending may block.
const patience = time.Second

// A Notifier sends states to a service manager. The zero Notifier has no service manager and
// sends nothing.
type Notifier struct {
	// Watchdog is the maximum time between two Alive states. If it is exceeded, the service manager
	// considers the program hung. Zero means no watchdog.
	Watchdog time.Duration

	socket string // "" if there is no service manager
}

// FromEnvironment returns the Notifier for the service manager that started the program, or the
// zero Notifier without a service manager. sd_notify(3) and sd_watchdog_enabled(3) define the
// environment variables.
func FromEnvironment() (Notifier, error) {
	n := Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	usec, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	if n.socket == "" || usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err == nil && (us <= 0 || us > int64(time.Duration(1<<63-1)/time.Microsecond)) {
		err = errors.New("it is out of range")
	}
	if err != nil {
		return n, fmt.Errorf("parse the watchdog interval of the service manager (WATCHDOG_USEC=%s): %w", usec, err)
	}
	n.Watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// Send sends all states in one message to the service manager.
func (n Notifier) Send(state ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err == nil {
		conn.SetWriteDeadline(time.Now().Add(patience))
		_, err = conn.Write([]byte(strings.Join(state, "\n")))
		conn.Close()
	}
	if err != nil {
		return fmt.Errorf("send %s to the service manager (NOTIFY_SOCKET): %w", strings.Join(state, ", "), err)
	}
	return nil
}

// Enabled reports whether a service manager receives the states.
func (n Notifier) Enabled() bool { return n.socket != "" }
