package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// writerEnv is an environment variable with the directory of a store. If it is set, the
// process only writes to that store.
const writerEnv = "OFDVR_TEST_STORE_WRITER"

// writeUntilKilled commits one batch after another, and prints each revision after Commit has
// returned.
func writeUntilKilled(dir string) {
	s, err := store.Open(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c, err := s.Load(nil)
	for r := c.Revision + 1; err == nil; r++ {
		if err = s.Commit(r, true, batch(r)...); err == nil {
			_, err = fmt.Println(r)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// batch returns the changes of revision r. Each call with the same r returns the same changes. They
// change each kind of object, so that the test notices a partial batch.
func batch(r uint64) (changes []routing.Change) {
	rnd := rand.New(rand.NewPCG(r, 1))
	for range 1 + rnd.IntN(3) {
		m := site(0)
		m.Networks[0].MTU, m.Routers[0].Namespace = 1000+int(r%8000), fmt.Sprint("ns", r)
		c := routing.Change{Put: m}
		for range rnd.IntN(60) {
			c.Put.Ports = append(c.Put.Ports, port(rnd.IntN(500), byte(r)))
			c.Delete.Ports = append(c.Delete.Ports, port(rnd.IntN(500), 0).ID)
		}
		changes = append(changes, c)
	}
	return changes
}

// TestKill repeatedly kills a process that writes as fast as it can. Afterwards the store has all
// confirmed commits, and the unfinished commit completely or not at all. While the process runs, no
// other process can open the store.
func TestKill(t *testing.T) {
	const kills = 30
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 7))
	o := newOracle()
	inFlight := 0 // batches on disk, but not confirmed
	for kill := range kills {
		last := writeAndKill(t, dir, 20+rnd.IntN(150), time.Duration(rnd.IntN(2000))*time.Microsecond)
		s := open(t, dir)
		c := load(t, s)
		s.Close()
		if c.Revision < last || c.Revision > last+1 {
			t.Fatalf("kill %d: revision %d was confirmed, but the store has %d", kill, last, c.Revision)
		}
		inFlight += int(c.Revision - last)
		for o.revision < c.Revision {
			o.commit(o.revision+1, true, batch(o.revision+1)...)
		}
		if diff := differ(o.contents(), c); diff != "" {
			t.Fatalf("kill %d, revision %d: -want +got:\n%s", kill, c.Revision, diff)
		}
	}
	if o.revision < 2000 {
		t.Errorf("only %d commits", o.revision)
	}
	t.Logf("%d commits, %d kills, %d of these between the write and the confirmation", o.revision, kills, inFlight)
}

// writeAndKill lets a process confirm some commits, kills it a while later, and returns the
// last confirmed revision.
func writeAndKill(t *testing.T, dir string, answers int, after time.Duration) (last uint64) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Errorf("output of the writer: %s", lines.Text())
			break
		}
		if n == 1 {
			if _, err := store.Open(dir); !errors.Is(err, store.ErrLocked) {
				t.Errorf("open during writing: %v", err)
			}
			if _, err := store.Check(dir); !errors.Is(err, store.ErrLocked) {
				t.Errorf("check during writing: %v", err)
			}
		}
		if n == answers {
			defer time.AfterFunc(after, func() { cmd.Process.Kill() }).Stop()
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("the writer was not killed: %v", err)
	}
	return last
}

// TestPowerCut simulates a power failure: it copies the disk right after a Commit has returned. The
// copy lacks data that is only in the page cache, but has the commit.
func TestPowerCut(t *testing.T) {
	disk := newDisk(t, t.TempDir(), "ext4", 32)
	s := open(t, filepath.Join(disk.mount(t), "new"))
	o := newOracle()
	for r := uint64(1); r <= 12; r++ {
		commit(t, s, r, batch(r)...)
		o.commit(r, true, batch(r)...)
		t.Run(fmt.Sprint("after revision ", r), func(t *testing.T) {
			copied := disk.copy(t)
			c := load(t, open(t, filepath.Join(copied.mount(t), "new")))
			if diff := differ(o.contents(), c); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A disk is an image of a file system, in a file.
type disk struct{ image string }

// newDisk makes a file system of some MiB in dir.
func newDisk(t *testing.T, dir, kind string, size int64) disk {
	t.Helper()
	lab.Require(t)
	lab.Needs(t, "losetup")
	lab.Needs(t, "mkfs."+kind)
	d := disk{filepath.Join(dir, "image")}
	f, err := os.Create(d.image)
	if err == nil {
		err = f.Truncate(size << 20)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs."+kind, "-q", "-F", d.image)
	return d
}

// mount mounts the disk until the end of the test.
func (d disk) mount(t *testing.T) string {
	t.Helper()
	at := t.TempDir()
	run(t, "mount", "-o", "loop", d.image, at)
	t.Cleanup(func() { run(t, "umount", at) })
	return at
}

func (d disk) copy(t *testing.T) disk {
	t.Helper()
	other := disk{filepath.Join(t.TempDir(), "image")}
	run(t, "cp", "--sparse=always", d.image, other.image)
	return other
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
