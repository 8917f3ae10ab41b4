package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// holdLock starts a process of a user that holds the lock of a file or directory of the host until the
// returned function is called.
func (s *site) holdLock(path string, user int) (release func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	p, err := hostile.HoldLock(ctx, s.Host, path, user)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Kill
}

// foreign makes an object at path that is not a file of ofdvr. /run/theirs/file is another
// program's file.
func (s *site) foreign(in hostile.Impostor, path string) {
	s.t.Helper()
	if err := in.Make(s.Path(""), path, "/run/theirs/file"); err != nil {
		s.t.Fatal(err)
	}
}

// Only the owner of the lock file can hold the lock, even if an earlier version
// has made the file. Another user can neither prevent the start of the daemon
// nor make a standby lead.
func TestLockBelongsToItsOwner(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.sh("", "mkdir -p /run/ofdvr; touch /run/ofdvr/lock; chmod 644 /run/ofdvr/lock")
	s.serve()
	s.settle()
	if got := strings.TrimSpace(s.sh("", "stat -c '%a %U' /run/ofdvr/lock")); got != "600 root" {
		t.Errorf("the lock is %s", got)
	}
	_, err := s.RunIn(t.Context(), "", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "flock", "--nonblock", "/run/ofdvr/lock", "true")
	if err == nil || !strings.Contains(err.Error(), "ermission denied") {
		t.Errorf("another user can open the lock: %v", err)
	}
	s.stop()
	release := s.holdLock("/run/ofdvr/lock", 0) // root may
	mustHave(t, s.ofdvr(1, "serve", "--topology", s.file), "another ofdvr runs as process ", "(sleep) and has the lock /run/ofdvr/lock")
	mustHave(t, s.ofdvr(1, "cleanup"), "(sleep) and has the lock /run/ofdvr/lock")
	release()
	s.serve()
	s.settle()
}

// Foreign files in --run-dir with names of ofdvr's files are reported and stay unchanged.
func TestForeignFilesInRunDir(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	const world = "ls -lan --time-style=full-iso /run/ofdvr /run/theirs; cat /run/theirs/*"
	fails := func(what, want string, spoil func()) {
		t.Helper()
		s.sh("", "umask 022; rm -rf /run/ofdvr /run/theirs; mkdir -p /run/ofdvr /run/theirs; echo theirs >/run/theirs/file")
		spoil()
		before := s.sh("", world)
		mustHave(t, s.ofdvr(1, "serve", "--topology", s.file), want)
		mustHave(t, s.ofdvr(1, "cleanup", "--timeout", "1s"), want)
		if after := s.sh("", world); after != before {
			t.Errorf("%s: changed:\n%s", what, diff(before, after))
		}
	}
	for _, in := range hostile.Impostors() {
		fails(in.Kind, "/run/ofdvr/lock "+in.Says, func() { s.foreign(in, "/run/ofdvr/lock") })
	}
	fails("writable by all", "/run/ofdvr can be written by other users (mode 0777, owner 0:0)", func() { s.sh("", "chmod 1777 /run/ofdvr") })
	fails("directory of another user", "/run/ofdvr can be written by other users", func() { s.sh("", "chown 65534 /run/ofdvr") })
	fails("a link", "/run/ofdvr is a symbolic link", func() { s.sh("", "rmdir /run/ofdvr; ln -s /run/theirs /run/ofdvr") })

	// The daemon works without the files that are only for the next daemon.
	s.sh("", `rm -rf /run/ofdvr; mkdir -m 755 /run/ofdvr; cd /run/ofdvr
		ln -s /run/theirs/file counters.json; ln -s /run/theirs/file external-bridges.json; mkfifo instance; ln -s /run/theirs/file api.sock.x`)
	before := s.sh("", "cat /run/theirs/file; ls -lan --time-style=full-iso /run/theirs; ls -l --time-style=full-iso /run/ofdvr | grep 'json\\|instance'")
	s.serve()
	const problem = "read the instance name: /run/ofdvr/instance is a named pipe: not a file of ofdvr"
	s.eventually("the status to name it", func() error { return lacks(fmt.Sprint(s.status().Problems), problem) })
	mustHave(t, s.ofdvr(1, "doctor"), problem)
	mustHave(t, s.daemon.Log(), "/run/ofdvr/counters.json is a symbolic link: not a file of ofdvr", "/run/ofdvr/external-bridges.json is a symbolic link: not a file of ofdvr")
	s.stop()
	if after := s.sh("", "cat /run/theirs/file; ls -lan --time-style=full-iso /run/theirs; ls -l --time-style=full-iso /run/ofdvr | grep 'json\\|instance'"); after != before {
		t.Errorf("changed:\n%s", diff(before, after))
	}
	s.sh("", "rm /run/ofdvr/instance")
	s.serve()
	s.settle()
}

// Foreign files in --state-dir with the store's name are reported and stay unchanged. The same
// holds for a store in a directory that others can write. Packets are still routed.
func TestForeignFilesInStateDir(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := written(t, "--state-dir", "/run/state")
	s.stop()
	s.aged(bridge)
	flows := s.flows(bridge)
	topology, err := s.WriteFile("two-networks.yaml", twoNetworks)
	if err != nil {
		t.Fatal(err)
	}
	const world = "ls -land --time-style=full-iso /run/state; ls -lan --time-style=full-iso /run/state/ /run/theirs; cat /run/theirs/*"
	named := func(what, want string, spoil func()) {
		t.Helper()
		s.sh("", "umask 022; rm -rf /run/state /run/theirs; cp -a /run/good /run/state; cp -a /run/good /run/theirs; mv /run/theirs/intent.db /run/theirs/file")
		spoil()
		before := s.sh("", world)
		s.serve(s.flags...)
		s.eventually("the status to name it", func() error { return lacks(fmt.Sprint(s.status().Problems), want) })
		s.must(503, "PUT", "/v1/networks/x", `{}`)
		s.stop()
		for _, args := range [][]string{{"check"}, {"import", topology}} {
			mustHave(t, s.ofdvr(1, append([]string{"store", "--state-dir", "/run/state"}, args...)...), want)
		}
		if after := s.sh("", world); after != before {
			t.Errorf("%s: changed:\n%s", what, diff(before, after))
		}
		mustBeUntouched(t, flows, s.flows(bridge))
		pingTTL(t, vm1, vm2.IP(), 63)
	}
	s.sh("", "cp -a /run/state /run/good")
	for _, in := range hostile.Impostors() {
		named(in.Kind, "/run/state/intent.db "+in.Says, func() {
			s.sh("", "rm /run/state/intent.db")
			s.foreign(in, "/run/state/intent.db")
		})
	}
	named("writable by all", "/run/state can be written by other users (mode 0777, owner 0:0)", func() { s.sh("", "chmod 777 /run/state") })
	named("directory of another user", "/run/state can be written by other users", func() { s.sh("", "chown 65534 /run/state") })
	named("a link", "/run/state is a symbolic link", func() {
		s.sh("", "rm /run/theirs/file; mv /run/state/intent.db /run/theirs; rmdir /run/state; ln -s /run/theirs /run/state")
	})
	s.sh("", "rm -r /run/state; cp -a /run/good /run/state")
	s.serve(s.flags...)
	s.settle()
	s.must(201, "PUT", "/v1/networks/x", `{}`)
	mustBeUntouched(t, flows, s.flows(bridge))
}
