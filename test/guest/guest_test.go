package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	ordered := []string{"5.10.0-9-amd64", "5.10.0-30-amd64", "6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-cloud-amd64", "6.12.7"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareVersions(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compare %s with %s: %d", a, b, got)
			}
		}
	}
}

// tree writes files below a new directory and returns the directory.
func tree(t *testing.T, files map[string]string) string {
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const dependencies = `kernel/net/9p/9pnet.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko
kernel/net/openvswitch/openvswitch.ko:
`

// findKernel returns the newest kernel that has all modules, from the first root with such a
// kernel.
func TestFindKernel(t *testing.T) {
	complete := map[string]string{}
	for _, v := range []string{"6.1.0-9", "6.1.0-10"} {
		complete["boot/vmlinuz-"+v] = ""
		complete["lib/modules/"+v+"/modules.dep"] = dependencies
		complete["lib/modules/"+v+"/modules.builtin"] = "kernel/fs/overlayfs/overlay.ko\n"
	}
	complete["boot/vmlinuz-6.1.0-11"] = "" // without modules
	good := tree(t, complete)
	complete["lib/modules/6.1.0-10/modules.builtin"] = "" // without overlayfs
	partial := tree(t, complete)
	for _, c := range []struct {
		roots []string
		want  string
	}{
		{[]string{good}, good + "/boot/vmlinuz-6.1.0-10"},
		{[]string{partial}, partial + "/boot/vmlinuz-6.1.0-9"},
		{[]string{t.TempDir(), partial, good}, partial + "/boot/vmlinuz-6.1.0-9"},
	} {
		if k, err := findKernel(c.roots...); err != nil || k.image != c.want {
			t.Errorf("%q: %+v, %v", c.roots, k, err)
		}
	}
	if _, err := findKernel(t.TempDir()); err == nil || !strings.Contains(err.Error(), "openvswitch") {
		t.Errorf("without roots: %v", err)
	}
}

// Modules are loaded once, after their dependencies.
func TestLoadOrder(t *testing.T) {
	root := tree(t, map[string]string{"modules.dep": dependencies, "modules.builtin": "kernel/fs/overlayfs/overlay.ko\n"})
	files, err := kernel{modules: root}.load(wanted...)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, moduleName(f))
	}
	if want := []string{"virtio", "virtio_pci", "9pnet", "9pnet_virtio", "9p", "openvswitch"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// The command's output is passed on byte for byte, also without a final newline. The guest's
// own messages are removed.
func TestDemultiplex(t *testing.T) {
	var out bytes.Buffer
	var marks []string
	in := marker + " up\none\ntwo\x00\n\nthree" + marker + " status 7\n"
	if err := demultiplex(strings.NewReader(in), &out, func(s string) { marks = append(marks, s) }); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one\ntwo\x00\n\nthree" || !slices.Equal(marks, []string{"up", "status 7"}) {
		t.Errorf("%q, %q", out.String(), marks)
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a b", `it's "$HOME" \ *`, "two\nlines", "-n"} {
		if out, err := exec.Command("sh", "-c", "printf %s "+quote(s)).Output(); err != nil || string(out) != s {
			t.Errorf("%q became %q, %v", s, out, err)
		}
	}
}

// static returns an error for programs that need shared libraries.
func TestStatic(t *testing.T) {
	if err := static("sh"); err == nil || !strings.Contains(err.Error(), "needs libraries") {
		t.Errorf("sh: %v", err)
	}
	if err := static("no-such-program"); err != nil { // missing programs are reported by another check
		t.Errorf("missing program: %v", err)
	}
}
