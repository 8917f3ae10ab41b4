package lab

import (
	"reflect"
	"testing"
	"time"
)

func TestParsePing(t *testing.T) {
	const out = `PING 10.0.2.10 (10.0.2.10) 56(84) bytes of data.
64 bytes from 10.0.2.10: icmp_seq=1 ttl=63 time=0.432 ms
From 10.0.1.1 icmp_seq=2 Time to live exceeded
From 10.0.1.10 icmp_seq=3 Destination Host Unreachable
ping: local error: message too long, mtu=1400

--- 10.0.2.10 ping statistics ---
4 packets transmitted, 1 received, +2 errors, 75% packet loss, time 302ms
rtt min/avg/max/mdev = 0.432/0.432/0.432/0.000 ms
`
	want := PingResult{
		Sent: 4, Received: 1, Output: out,
		Replies: []PingReply{{From: "10.0.2.10", Seq: 1, TTL: 63, RTT: 432 * time.Microsecond}},
		Errors: []PingError{
			{From: "10.0.1.1", Seq: 2, Message: "Time to live exceeded"},
			{From: "10.0.1.10", Seq: 3, Message: "Destination Host Unreachable"},
			{Message: "message too long, mtu=1400"},
		},
	}
	if got := parsePing(out); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}

	six := parsePing("64 bytes from fd00:1::11: icmp_seq=7 ttl=64 time=1.5 ms\nFrom fd00:1::1: icmp_seq=8 Time exceeded: Hop limit\n")
	if r := six.Replies; len(r) != 1 || r[0].From != "fd00:1::11" || r[0].Seq != 7 {
		t.Errorf("IPv6 replies: %+v", r)
	}
	if e := six.Errors; len(e) != 1 || e[0].From != "fd00:1::1" || e[0].Message != "Time exceeded: Hop limit" {
		t.Errorf("IPv6 errors: %+v", e)
	}
}

func TestPingFollowedByPing(t *testing.T) {
	first := PingResult{Sent: 1, Errors: []PingError{{Seq: 1, Message: "no"}}, Output: "a"}
	others := PingResult{Sent: 2, Received: 1, Replies: []PingReply{{Seq: 1}}, Errors: []PingError{{Seq: 2}, {Message: "local"}}, Output: "b"}
	want := PingResult{Sent: 3, Received: 1, Replies: []PingReply{{Seq: 2}}, Errors: []PingError{{Seq: 1, Message: "no"}, {Seq: 3}, {Message: "local"}}, Output: "ab"}
	if got := first.followedBy(others); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}
