package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A kernel is a kernel that can boot a guest.
type kernel struct {
	version string // as of uname -r
	image   string // its file
	modules string // directory of the kernel's modules
}

// A guest needs the wanted modules to run tests.
var wanted = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay", "openvswitch"}

// findKernel returns the newest kernel with the wanted modules in the first root that has such a
// kernel.
func findKernel(roots ...string) (kernel, error) {
	for _, root := range roots {
		images, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*")) // the pattern is right
		slices.SortFunc(images, func(a, b string) int { return -compareVersions(a, b) })
		for _, image := range images {
			version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
			modules, err := filepath.Abs(filepath.Join(root, "lib/modules", version))
			if err != nil {
				return kernel{}, err
			}
			k := kernel{version, image, modules}
			if _, err := k.load(wanted...); err == nil {
				return k, nil
			}
		}
	}
	return kernel{}, fmt.Errorf("neither %s has a kernel with the modules %s",
		strings.Join(roots, " nor "), strings.Join(wanted, ", "))
}

// compareVersions compares versions. Sequences of digits are compared as numbers.
func compareVersions(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits returns the number of digits at the start of s.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// load returns the files of modules and of their dependencies, in the order in which they must
// be loaded (modules.dep, of depmod(8)). Built-in modules have no files.
func (k kernel) load(names ...string) ([]string, error) {
	needs, err := k.dependencies()
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(k.modules, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	byName := map[string]string{}
	for file := range needs {
		byName[moduleName(file)] = file
	}
	var files []string
	for _, name := range names {
		file, ok := byName[name]
		if !ok {
			if strings.Contains(string(builtin), "/"+name+".ko\n") {
				continue
			}
			return nil, fmt.Errorf("kernel %s has no module %s", k.version, name)
		}
		for _, f := range append(needs[file], file) {
			if f = filepath.Join(k.modules, f); !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// dependencies returns the dependencies of each module, in the order in which they must be loaded.
func (k kernel) dependencies() (map[string][]string, error) {
	f, err := os.Open(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string][]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		file, rest, ok := strings.Cut(s.Text(), ":")
		if !ok {
			return nil, errors.New(f.Name() + " is damaged")
		}
		needs := strings.Fields(rest)
		slices.Reverse(needs) // the file lists the nearest dependency first
		out[file] = needs
	}
	return out, s.Err()
}

// moduleName returns the name of the module in a file: 9pnet_virtio for kernel/net/9p/9pnet_virtio.ko.xz.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return name
}
