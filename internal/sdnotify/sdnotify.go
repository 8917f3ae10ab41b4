// Package sdnotify tells a service manager such as systemd how the program is,
// as sd_notify(3) does.
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

// What a service manager may be told, besides [Status].
const (
	Ready    = "READY=1"    // it has started
	Stopping = "STOPPING=1" // it begins to end
	Alive    = "WATCHDOG=1" // it works; see [Notifier.Watchdog]
)

// Status is a line for people that says how the program is.
func Status(text string) string { return "STATUS=" + strings.Join(strings.Fields(text), " ") }

// patience is how long a service manager may keep the program from going on.
const patience = time.Second

// A Notifier tells a service manager how the program is. The zero value has none
// to tell.
type Notifier struct {
	// Watchdog is the longest time that may pass from one Alive to the next
	// before the program is taken to hang. Zero: nobody looks.
	Watchdog time.Duration

	socket string // "" for none
}

// FromEnvironment returns the Notifier of the service manager that has started
// the program, if one has. The environment is as sd_notify(3) and
// sd_watchdog_enabled(3) say.
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
		return n, fmt.Errorf("read how often the service manager wants to hear of the program (WATCHDOG_USEC=%s): %w", usec, err)
	}
	n.Watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// Tell tells the service manager all of these at once.
func (n Notifier) Tell(state ...string) error {
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
		return fmt.Errorf("tell the service manager %s (NOTIFY_SOCKET): %w", strings.Join(state, ", "), err)
	}
	return nil
}

// Wanted reports whether there is a service manager.
func (n Notifier) Wanted() bool { return n.socket != "" }
