package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Ping returns ErrNoReply if no reply arrived.
var ErrNoReply = errors.New("no reply")

// PingOptions are options of ping(8). The zero value sends one request and
// waits a second for the reply.
type PingOptions struct {
	Count    int           // requests; 0 means 1
	Interval time.Duration // time between requests; 0 means that all are sent at once
	Wait     time.Duration // time to wait for replies; 0 means 1 s. With an Interval ping may wait less, see args
	TTL      int           // TTL of the requests; 0 means the kernel's default
	Size     int           // payload in bytes; 0 means 56
	Whole    bool          // forbid fragmentation (DF)
	From     string        // source address or interface; "" means the kernel's choice

	identifier uint16 // identifier of the echo requests; 0 means that ping selects one
}

// A PingReply is the reply to one request.
type PingReply struct {
	From string // source address of the reply
	Seq  int    // number of the request, from 1
	TTL  int    // TTL of the received reply
	RTT  time.Duration
}

// A PingError is an ICMP error or a local error of a request.
type PingError struct {
	From    string // address that sent the error
	Seq     int    // 0 if ping does not print it
	Message string // ping's text, such as "Time to live exceeded"
}

// A PingResult is the result of ping(8).
type PingResult struct {
	Sent, Received int
	Replies        []PingReply
	Errors         []PingError
	Output         string // the complete output of ping
}

// Ping sends ICMP echo requests from the machine to a literal IPv4 or IPv6 address. If no
// reply arrived, the error wraps [ErrNoReply], and the result has the ICMP errors that arrived
// instead.
func (m *Machine) Ping(ctx context.Context, dst string, o PingOptions) (PingResult, error) {
	return m.Host.PingIn(ctx, m.Name, dst, o)
}

// PingIn is like [Machine.Ping] from a named network namespace of the host, or
// from the host itself if the name is "".
func (h *Host) PingIn(ctx context.Context, netns, dst string, o PingOptions) (PingResult, error) {
	if o.Count < 2 || o.Interval != 0 || Datapath() != Kernel {
		return h.ping(ctx, netns, dst, o)
	}
	// With Linux's openvswitch module, every namespace tracks connections (nf_conncount_init). If
	// two packets begin the same connection on two processors at the same time, the kernel drops
	// one of them (__nf_conntrack_confirm). Requests with the same echo identifier are one
	// connection. So one request is sent first to begin the connection, and then the others.
	o.identifier = uint16(pings.Add(1))
	others := o
	o.Count, others.Count = 1, o.Count-1
	first, err := h.ping(ctx, netns, dst, o)
	if err != nil && !errors.Is(err, ErrNoReply) {
		return first, err
	}
	r, err := h.ping(ctx, netns, dst, others)
	if first.Received > 0 && errors.Is(err, ErrNoReply) {
		err = nil
	}
	return first.followedBy(r), err
}

// pings counts the used identifiers.
var pings atomic.Uint32

// followedBy returns the combined result of r and s, where the requests of s come after the
// requests of r.
func (r PingResult) followedBy(s PingResult) PingResult {
	for i := range s.Replies {
		s.Replies[i].Seq += r.Sent
	}
	for i := range s.Errors {
		if e := &s.Errors[i]; e.Seq != 0 {
			e.Seq += r.Sent
		}
	}
	return PingResult{
		Sent: r.Sent + s.Sent, Received: r.Received + s.Received,
		Replies: append(r.Replies, s.Replies...), Errors: append(r.Errors, s.Errors...), Output: r.Output + s.Output,
	}
}

// ping runs ping(8) once.
func (h *Host) ping(ctx context.Context, netns, dst string, o PingOptions) (PingResult, error) {
	args := append(o.args(), dst)
	cmd := h.CommandIn(ctx, netns, "ping", args...)
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	r := parsePing(string(out))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("%s: %s: %w", netns, commandLine("ping", args), context.Cause(ctx))
	case err == nil && r.Received > 0:
		return r, nil
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == 1:
		return r, fmt.Errorf("%s: %s: %w\n%s", netns, commandLine("ping", args), ErrNoReply, out)
	}
	return r, fmt.Errorf("%s: %s: %w\n%s", netns, commandLine("ping", args), err, out)
}

func (o PingOptions) args() []string {
	if o.Count == 0 {
		o.Count = 1
	}
	if o.Wait == 0 {
		o.Wait = time.Second
	}
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	args := []string{"-n", "-c", strconv.Itoa(o.Count), "-W", seconds(o.Wait)}
	// After the first reply, ping waits for the others for the interval or twice the longest round
	// trip, independently of -W (iputils, schedule_exit). With preload (-l), the interval does not
	// delay requests, and only sets the time that ping waits.
	if o.Interval != 0 {
		args = append(args, "-i", seconds(o.Interval))
	} else {
		args = append(args, "-l", strconv.Itoa(o.Count), "-i", seconds(o.Wait))
	}
	if o.identifier != 0 {
		args = append(args, "-e", strconv.Itoa(int(o.identifier)))
	}
	if o.TTL != 0 {
		args = append(args, "-t", strconv.Itoa(o.TTL))
	}
	if o.Size != 0 {
		args = append(args, "-s", strconv.Itoa(o.Size))
	}
	if o.Whole {
		args = append(args, "-M", "do")
	}
	if o.From != "" {
		args = append(args, "-I", o.From)
	}
	return args
}

// parsePing reads the output of iputils' ping with -n.
func parsePing(out string) PingResult {
	var (
		reply   = regexp.MustCompile(`^\d+ bytes from ([^ ]+): icmp_seq=(\d+) ttl=(\d+)(?: time=([0-9.]+) ms)?`)
		failure = regexp.MustCompile(`^From ([^ ]+):? icmp_seq=(\d+) (.+)$`)
		local   = regexp.MustCompile(`^ping: (?:local error|sendmsg): (.+)$`)
		sum     = regexp.MustCompile(`^(\d+) packets transmitted, (\d+) received`)
	)
	r := PingResult{Output: out}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if m := reply.FindStringSubmatch(line); m != nil {
			ms, _ := strconv.ParseFloat(m[4], 64) // missing if the payload has no timestamp
			r.Replies = append(r.Replies, PingReply{
				From: m[1], Seq: number(m[2]), TTL: number(m[3]), RTT: time.Duration(ms * float64(time.Millisecond)),
			})
		} else if m := failure.FindStringSubmatch(line); m != nil {
			r.Errors = append(r.Errors, PingError{From: strings.TrimSuffix(m[1], ":"), Seq: number(m[2]), Message: m[3]})
		} else if m := local.FindStringSubmatch(line); m != nil {
			r.Errors = append(r.Errors, PingError{Message: m[1]})
		} else if m := sum.FindStringSubmatch(line); m != nil {
			r.Sent, r.Received = number(m[1]), number(m[2])
		}
	}
	return r
}

// number converts digits that a regular expression has matched.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1 // too long for an int
	}
	return n
}
