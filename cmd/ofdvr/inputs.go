package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// inputs has several topology files that are used as one topology.
type inputs struct {
	files []input
	model routing.Model
}

type input struct {
	name  string
	data  []byte
	first [4]int // the indices of its first network, router, port and host in the whole topology
}

// readFiles reads topology files. It checks only their form, because objects may refer to
// objects of the daemon.
func readFiles(ctx context.Context, names []string, stdin io.Reader) (*inputs, error) {
	in := new(inputs)
	var errs []error
	for _, name := range names {
		if name == "-" {
			data, err := readInput(ctx, stdin, "standard input")
			if err == nil {
				err = in.add("standard input", data)
			} else {
				err = fmt.Errorf("read topology from standard input: %w", err)
			}
			errs = append(errs, err)
			continue
		}
		all, err := topologyFiles(name)
		errs = append(errs, err)
		for _, name := range all {
			data, err := readFile(ctx, name)
			if err == nil {
				err = in.add(name, data)
			} else {
				err = fmt.Errorf("read topology: %w", err)
			}
			errs = append(errs, err)
		}
	}
	return in, errors.Join(errs...)
}

// topologyFiles returns the topology files in the directory called name, sorted by name. If
// name is not a directory, it returns name.
func topologyFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, nil // if name does not exist, reading the file reports an error
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("list topology files: %w", err)
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); slices.Contains([]string{".yaml", ".yml", ".json"}, ext) && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if files == nil {
		return nil, fmt.Errorf("directory %s has no *.yaml, *.yml or *.json files", name)
	}
	return files, nil
}

func (in *inputs) add(name string, data []byte) error {
	m, _, err := topology.ParseFor(name, data, func(*routing.Model) error { return nil })
	if err != nil {
		return err
	}
	all := &in.model
	in.files = append(in.files, input{name, data, [4]int{len(all.Networks), len(all.Routers), len(all.Ports), len(all.Hosts)}})
	add(all, m)
	return nil
}

// add appends the objects of one model to another.
func add(all, m *routing.Model) {
	all.Hosts = append(all.Hosts, m.Hosts...)
	all.Networks = append(all.Networks, m.Networks...)
	all.Routers = append(all.Routers, m.Routers...)
	all.Ports = append(all.Ports, m.Ports...)
}

// body returns the body of a request that puts all objects. If all is true, it is a topology,
// otherwise a batch.
func (in *inputs) body(all bool) []byte {
	var b strings.Builder
	if !all {
		b.WriteString(`{"put":`)
	}
	topology.WriteJSON(&b, &in.model) // writing to memory cannot fail
	if !all {
		b.WriteString("}")
	}
	return []byte(b.String())
}

// are reports whether the input is exactly the file called name.
func (in *inputs) are(name string) bool {
	if len(in.files) != 1 || name == "" {
		return false
	}
	a, err := os.Stat(in.files[0].name)
	b, err2 := os.Stat(name)
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// ids returns the IDs of all objects.
func (in *inputs) ids() topology.IDs {
	m := &in.model
	var ids topology.IDs
	for i := range m.Hosts {
		ids.Hosts = append(ids.Hosts, m.Hosts[i].ID)
	}
	for i := range m.Networks {
		ids.Networks = append(ids.Networks, m.Networks[i].ID)
	}
	for i := range m.Routers {
		ids.Routers = append(ids.Routers, m.Routers[i].ID)
	}
	for i := range m.Ports {
		ids.Ports = append(ids.Ports, m.Ports[i].ID)
	}
	return ids
}

// part returns the index of the file that a pointer into the body refers to, and the path in that
// file. If no file matches, it returns -1.
func (in *inputs) part(pointer string) (file int, path string) {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(parts) > 0 && parts[0] == "put" {
		parts = parts[1:]
	}
	if len(parts) < 2 {
		return -1, ""
	}
	kind := slices.Index([]string{"networks", "routers", "ports", "hosts"}, parts[0])
	var n int
	if _, err := fmt.Sscan(parts[1], &n); err != nil || kind < 0 {
		return -1, ""
	}
	for i := len(in.files) - 1; i >= 0; i-- {
		if first := in.files[i].first[kind]; n >= first {
			var b strings.Builder
			fmt.Fprintf(&b, "%s[%d]", parts[0], n-first)
			for _, p := range parts[2:] {
				if strings.Trim(p, "0123456789") == "" {
					fmt.Fprintf(&b, "[%s]", p)
				} else {
					b.WriteString("." + p)
				}
			}
			return i, b.String()
		}
	}
	return -1, ""
}

// reported prints an error of the daemon, and the mistakes with their positions in the files.
// If the command was interrupted, it returns err instead.
func (in *inputs) reported(cmd *cobra.Command, err error) error {
	if cmd.Context().Err() != nil {
		return err
	}
	return reported(cmd, in.located(err))
}

// located returns err with the mistakes that the daemon found, and their positions in the
// files.
func (in *inputs) located(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || len(p.Errors) == 0 {
		return err
	}
	return errors.Join(in.places(p.Errors)...)
}

// places returns the mistakes or warnings about the body with their positions in the files.
// Each file is parsed once.
func (in *inputs) places(said []api.Mistake) []error {
	byFile := make([][]error, len(in.files))
	var errs []error
	for _, m := range said {
		if i, path := in.part(m.Pointer); i >= 0 {
			byFile[i] = append(byFile[i], &routing.PathError{Path: path, Err: errors.New(m.Detail)})
		} else {
			errs = append(errs, fmt.Errorf("%s%s: %s", m.Pointer, m.Parameter, m.Detail))
		}
	}
	for i, f := range in.files {
		if byFile[i] == nil {
			continue
		}
		_, _, err := topology.ParseFor(f.name, f.data, func(*routing.Model) error { return errors.Join(byFile[i]...) })
		if j, ok := err.(interface{ Unwrap() []error }); ok {
			errs = append(errs, j.Unwrap()...)
		} else {
			errs = append(errs, err)
		}
	}
	return errs
}
