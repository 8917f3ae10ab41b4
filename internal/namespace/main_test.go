package namespace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

const bubble = "OFDVR_TEST_BUBBLE"

// TestMain runs the tests in new mount and network namespaces, with an empty /run. Therefore
// the machine's namespaces are not changed.
func TestMain(m *testing.M) {
	switch {
	case os.Getuid() != 0 && os.Getenv("CI") == "true":
		fmt.Println("these tests need root")
		os.Exit(1)
	case os.Getuid() != 0:
		os.Exit(m.Run()) // each test skips itself
	case os.Getenv(bubble) != "":
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
			panic(err)
		}
		if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(m)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), bubble+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		panic(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getenv(bubble) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces need root")
		}
		t.Skip("network namespaces need root")
	}
}
