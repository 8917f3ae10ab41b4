package namespace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wrong returns a value that s must not have.
func (s setting) wrong() string {
	for _, v := range []string{"1", "0", "2"} {
		if v != s.value && v != s.also {
			return v
		}
	}
	panic("all values are right")
}

// allSettings returns every setting of d, with complete file names.
func allSettings(d Desired) (all []setting) {
	all = slices.Clone(settings[:])
	for _, t := range d.Taps {
		for _, s := range slices.Concat(tapSettings[:], tap6Settings[:]) {
			s.file = strings.Replace(s.file, "%s", t.Name, 1)
			all = append(all, s)
		}
	}
	return all
}

// inNS returns the value of a file of /proc/sys in a namespace. If value is not "", inNS first
// writes it to the file.
func inNS(t *testing.T, ns, file, value string) string {
	t.Helper()
	var have []byte
	err := Enter(ns, func() (err error) {
		if value != "" {
			if err := os.WriteFile("/proc/sys/"+file, []byte(value), 0); err != nil {
				return err
			}
		}
		have, err = os.ReadFile("/proc/sys/" + file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(have))
}

// If another program has changed a setting, Check reports it and changes nothing. Ensure
// repairs the setting, together with all settings that changed with it, and reports the
// previous value. All other settings stay unchanged.
func TestSettingsAreRepaired(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	snapshot := func() map[string]string {
		m := make(map[string]string)
		for _, s := range allSettings(d) {
			if m[s.file] = inNS(t, d.Name, s.file, ""); m[s.file] == s.also {
				m[s.file] = s.value
			}
		}
		return m
	}
	before := snapshot()
	inputs := append(allSettings(d), setting{file: "net/ipv4/conf/all/forwarding", value: "1"})
	for file, value := range map[string]string{ // packets are lost without these
		"ipv4/ip_forward": "1", "ipv4/conf/default/forwarding": "1", "ipv4/conf/qr-a/forwarding": "1",
		"ipv6/conf/all/forwarding": "1", "ipv6/conf/default/forwarding": "1", "ipv6/conf/qr-a/forwarding": "1", "ipv6/conf/qr-a/disable_ipv6": "0",
		"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv4/conf/qr-a/rp_filter": "0",
		"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2", "ipv4/conf/all/promote_secondaries": "1",
		"ipv6/conf/all/accept_dad": "0", "ipv6/conf/default/accept_dad": "0", "ipv6/conf/qr-a/accept_dad": "0",
	} {
		if !slices.ContainsFunc(inputs, func(s setting) bool { return s.file == "net/"+file && s.value == value }) {
			t.Errorf("nothing sets net/%s=%s", file, value)
		}
	}
	for _, s := range inputs {
		t.Run(s.file, func(t *testing.T) {
			wrong := s.wrong()
			if got := inNS(t, d.Name, s.file, wrong); got != wrong {
				t.Fatalf("the value is %q", got)
			}
			spoiled := snapshot()
			check, err := Check(t.Context(), d)
			if err != nil || len(check.Settings) == 0 {
				t.Errorf("Check reported %q, %v", check, err)
			}
			if diff := differing(spoiled, snapshot()); diff != "" {
				t.Errorf("Check changed%s", diff)
			}
			r, err := Ensure(t.Context(), d, nil)
			if err != nil || !strings.Contains(strings.Join(r.Settings, ", "), " was "+wrong+", is "+s.value+" again") {
				t.Errorf("Ensure reported %q, %v", r.Settings, err)
			}
			settled(t, d)
			if diff := differing(before, snapshot()); diff != "" {
				t.Errorf("settings differ from those before the change:%s", diff)
			}
			if got := describe(t, d.Name); got != right {
				t.Errorf("tap is\n%swant\n%s", got, right)
			}
		})
	}
}

func differing(a, b map[string]string) (diff string) {
	for k := range a {
		if a[k] != b[k] {
			diff += " " + k + " was " + a[k] + ", is " + b[k]
		}
	}
	return diff
}

// A new namespace gets its own settings before it gets taps. This holds with any settings of the
// machine.
func TestMachineSettingsAreReplaced(t *testing.T) {
	d := fresh(t)
	for _, s := range []string{"rp_filter", "proxy_arp", "arp_filter", "accept_redirects"} {
		for _, of := range []string{"all", "default"} {
			file := "/proc/sys/net/ipv4/conf/" + of + "/" + s
			had, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, []byte("1"), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.WriteFile(file, had, 0) })
		}
	}
	r, err := Ensure(t.Context(), Desired{Name: d.Name, Router: d.Router}, nil)
	if err != nil || len(r.Settings) > 0 {
		t.Errorf("Ensure reported drift in a new namespace: %q, %v", r.Settings, err)
	}
	putRight(t, d)
	for _, s := range allSettings(d) {
		if got := inNS(t, d.Name, s.file, ""); got != s.value && got != s.also {
			t.Errorf("%s=%s, want %s", s.file, got, s.value)
		}
	}
}

// A Watcher reports each change that disables forwarding, and changes of source filters.
func TestWatchSettings(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	w := NewWatcher()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if err := w.Follow(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding", "ipv4/conf/qr-a/forwarding",
		"ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding", "ipv6/conf/qr-a/forwarding",
		"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv4/conf/qr-a/rp_filter", "ipv4/conf/qr-a/proxy_arp", "ipv6/conf/qr-a/disable_ipv6"} {
		settle := func() {
			for {
				select {
				case <-w.Changed():
				case <-time.After(50 * time.Millisecond): // waits longer than a notification takes
					return
				}
			}
		}
		settle()
		i := slices.IndexFunc(allSettings(d), func(s setting) bool { return s.file == "net/"+f })
		wrong := "0"
		if i >= 0 {
			wrong = allSettings(d)[i].wrong()
		}
		inNS(t, d.Name, "net/"+f, wrong)
		select {
		case <-w.Changed():
		case <-time.After(20 * time.Second):
			t.Fatalf("not reported within 20 s: %s=%s", f, wrong)
		}
		ensure(t, d)
	}
}

// Changes of routes and addresses outside are not reported, even if there are many. Changes of
// links outside are reported, because taps appear there.
func TestRoutesOutsideAreNotReported(t *testing.T) {
	fresh(t)
	p := new(poller)
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	pending := func() bool { // the kernel sends events before a command ends
		fds := []unix.PollFd{{Fd: int32(p.outside), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fds[0].Revents != 0
	}
	var batch strings.Builder
	for _, verb := range []string{"add", "del"} {
		for i := range 1000 {
			fmt.Fprintf(&batch, "route %s unreachable 10.%d.%d.0/24\n", verb, i/256, i%256)
		}
		fmt.Fprintf(&batch, "addr %s 10.9.9.9/32 dev lo\n", verb)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "-batch", file)
	if pending() {
		t.Error("reported routes")
	}
	addTap(t, "qr-a")
	if !pending() {
		t.Error("did not report a link")
	}
}
