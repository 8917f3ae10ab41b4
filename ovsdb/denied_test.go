package ovsdb_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// A client without permission for the socket of ovsdb-server does not wait.
func TestDeniedDoesNotWait(t *testing.T) {
	const variable = "OFDVR_TEST_DENIED_SOCKET"
	if socket := os.Getenv(variable); socket != "" { // this is the child process started below
		c, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + socket, Retry: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		runClient(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = c.Wait(ctx)
		if want := "not connected to ovsdb-server: connect to unix:" + socket + ": permission denied"; !errors.Is(err, fs.ErrPermission) || ctx.Err() != nil || err.Error() != want {
			t.Errorf("Wait: %v, want %s", err, want)
		}
		return
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "db.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	test := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestDeniedDoesNotWait$")
	test.Dir, test.Env = "/", append(os.Environ(), variable+"="+socket)
	if os.Geteuid() == 0 {
		test.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
