package lab_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// If the environment variable victimEnv is set, the test program is the victim of a test. The value
// is the method of ending it.
const victimEnv = "OFDVR_LAB_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) == "" {
		lab.Main(m)
	}
	if err := victim(os.Getenv(victimEnv)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// victim is a program that uses the lab in a separate bubble.
func victim(end string) error {
	if err := lab.Isolate(); err != nil {
		return err
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "victim-")
	if err != nil {
		return err
	}
	h, err := lab.NewHost(ctx, dir)
	if err != nil {
		return err
	}
	if end == "GOGC" {
		out, err := h.Run(ctx, "sh", "-c", "echo program $1, host $GOGC$GOMEMLIMIT", "sh", strconv.Itoa(debug.SetGCPercent(-1)))
		fmt.Print(out)
		return err
	}
	if err := h.StartOVS(ctx); err != nil {
		return err
	}
	if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil {
		return err
	}
	vm, err := h.AddMachine(ctx, lab.MachineConfig{Name: "vm", Addresses: []string{"10.0.1.10/24"}})
	if err != nil {
		return err
	}
	// This process is an orphan in another session, like a detached daemon.
	if _, err := vm.Run(ctx, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &"); err != nil {
		return err
	}
	if end == "return" { // returns without closing the host
		return nil
	}
	fmt.Println("ready", os.Getpid())
	select {} // wait for a signal that ends the program
}

// victimCommand returns the command of a victim that ends by the given method.
func victimCommand(end string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "OFDVR_LAB_")
	}), victimEnv+"="+end)
	cmd.Stderr = os.Stderr
	return cmd
}

// GOGC and GOMEMLIMIT apply to the program in a bubble, but not to programs on its hosts.
func TestGOGCIsForTheProgram(t *testing.T) {
	lab.Require(t)
	cmd := victimCommand("GOGC")
	cmd.Env = append(cmd.Env, "GOGC=77", "GOMEMLIMIT=9GiB")
	if out, err := cmd.Output(); err != nil || string(out) != "program 77, host\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestNothingStaysBehind(t *testing.T) {
	lab.Require(t)
	for _, end := range []struct {
		how string
		// kill gets the outer process, the init of its bubble and the
		// program inside.
		kill func(outer, init, inside int) error
		code int // the outer process's exit status; -1 if killed
	}{
		{"return", nil, 0},
		{"SIGKILL to the program", func(_, _, inside int) error { return syscall.Kill(inside, syscall.SIGKILL) }, 137},
		{"SIGKILL to its init", func(_, init, _ int) error { return syscall.Kill(init, syscall.SIGKILL) }, 137},
		{"SIGKILL to the outer process", func(outer, _, _ int) error { return syscall.Kill(outer, syscall.SIGKILL) }, -1},
		{"SIGINT to the outer process", func(outer, _, _ int) error { return syscall.Kill(outer, syscall.SIGINT) }, 130},
		{"SIGTERM to the outer process", func(outer, _, _ int) error { return syscall.Kill(outer, syscall.SIGTERM) }, 143},
	} {
		t.Run(end.how, func(t *testing.T) {
			before := worldNow(t)
			cmd := victimCommand(end.how)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			var printed []string
			ready := false
			for lines.Scan() {
				printed = append(printed, lines.Text())
				if strings.HasPrefix(lines.Text(), "ready ") {
					ready = true
					init := childOf(t, cmd.Process.Pid)
					if n := len(worldNow(t)) - len(before); n < 8 { // three processes of the victim, and the holder, database, switch, orphan and monitor
						t.Errorf("only %d more processes, namespaces, mounts and files than before", n)
					}
					if err := end.kill(cmd.Process.Pid, init, childOf(t, init)); err != nil {
						t.Fatal(err)
					}
				}
			}
			cmd.Wait() // the status is in ProcessState
			if (end.kill != nil) != ready || cmd.ProcessState.ExitCode() != end.code {
				t.Errorf("exit status %d, want %d; printed:\n%s", cmd.ProcessState.ExitCode(), end.code, strings.Join(printed, "\n"))
			}
			lab.Eventually(t, 5*time.Second, "everything to be as before", func() error {
				for thing := range worldNow(t) {
					if !before[thing] {
						return fmt.Errorf("%s stayed behind", thing)
					}
				}
				return nil
			})
		})
	}
}

// childOf returns the PID of the only child that runs this test program.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	var kids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var child, parent int
		var name, state string
		if _, err := fmt.Sscan(string(b), &child, &name, &state, &parent); err == nil && parent == pid {
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)) // "" differs
			if self, _ := os.Readlink("/proc/self/exe"); exe == self {
				kids = append(kids, child)
			}
		}
	}
	if len(kids) != 1 {
		t.Fatalf("process %d has children %v", pid, kids)
	}
	return kids[0]
}

// worldNow returns all objects that could remain after the lab: processes, their namespaces,
// mounts, interfaces and files.
func worldNow(t *testing.T) map[string]bool {
	t.Helper()
	world := make(map[string]bool)
	for _, pattern := range []string{"/proc/[0-9]*", "/proc/[0-9]*/ns/mnt", "/proc/[0-9]*/ns/net",
		"/sys/class/net/*", "/run/*", "/run/lab/*", "/run/netns/*", "/run/openvswitch/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && strings.HasPrefix(path, "/proc/") {
				path = target // mnt:[4026531840]
			}
			world[path] = true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		world["mount "+line] = true
	}
	return world
}

func TestCloseEndsEverythingOnTheHost(t *testing.T) {
	lab.Require(t)
	before := worldNow(t)
	h, err := lab.NewHost(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.StartOVS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.AddBridge(t.Context(), lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	vm := lab.Plug(t, h, lab.MachineConfig{Name: "vm", Addresses: []string{"10.0.1.10/24"}})
	lab.Run(t, h, "ip", "netns", "add", "qrouter-r1")
	lab.Run(t, h, "sh", "-c", "setsid ip netns exec qrouter-r1 sleep 1000 >/dev/null 2>&1 </dev/null &")
	lab.Run(t, vm, "sh", "-c", "setsid unshare --mount sleep 1000 >/dev/null 2>&1 </dev/null &")
	if _, err := h.Start("sleep", "1000"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call does nothing
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lab.Eventually(t, 5*time.Second, "everything to be as before", func() error {
		for thing := range worldNow(t) {
			if !before[thing] && !strings.HasPrefix(thing, "/run/lab/") { // this test's own directory
				return fmt.Errorf("%s stayed behind", thing)
			}
		}
		return nil
	})
	if _, err := h.Start("true"); err == nil {
		t.Error("a closed host starts programs")
	}
}
