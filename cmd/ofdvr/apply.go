package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

func newApply() *cobra.Command {
	var c clientFlags
	var files []string
	var all, dryRun bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Make networks, routers and ports as files declare them",
		Long: `Apply reads topology files and has the daemon make their objects, or change them,
in one step: all of it or, if there is a mistake anywhere, nothing. What the files
do not have stays, unless --all says that they have everything. Apply returns
when the switches have confirmed it; it exits with 1 if they have not in time.`,
		Example: `  ofdvr apply -f topology.yaml
  ofdvr apply -f /etc/ofdvr/ports.d --all
  generate | ofdvr apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := readFiles(files, cmd.InOrStdin())
			if err != nil {
				return reported(cmd, err)
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			method, path := http.MethodPatch, "/v1/topology"
			if all {
				method = http.MethodPut
			}
			query := w.query()
			if dryRun {
				query.Set("dry_run", "true")
			}
			var done api.Written
			stop := w.showProgress(cmd, client, dryRun)
			_, err = client.Do(cmd.Context(), method, path+"?"+query.Encode(), in.body(all), &done)
			stop()
			if err != nil {
				return reported(cmd, in.located(err))
			}
			if dryRun {
				printPlan(cmd.OutOrStdout(), &done, nil, colours(cmd.OutOrStdout()))
				return nil
			}
			printOutcomes(cmd.OutOrStdout(), done.Objects)
			for _, m := range done.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n", in.locate(m.Pointer), m.Detail)
			}
			return w.outcome(cmd, &done)
		},
	}
	c.add(cmd)
	w.add(cmd)
	fileFlag(cmd, &files)
	cmd.Flags().BoolVar(&all, "all", false, "the files have everything: what they do not have is deleted")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would change")
	return cmd
}

func fileFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "topology `FILE`, a directory with such files (*.yaml, *.yml, *.json), or - for standard input; can be given several times")
	cmd.MarkFlagRequired("filename")
}

// waitFlags say whether to wait until a write is applied.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (w *waitFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", true, "return when the switches have confirmed it; --wait=false when it is on disk")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "how long to wait for that, at most 5m")
}

func (w *waitFlags) query() url.Values {
	if !w.wait {
		return url.Values{}
	}
	return url.Values{"wait": {"applied"}, "timeout": {w.timeout.String()}}
}

// showProgress shows on a terminal how far the daemon is, until stop is called.
func (w *waitFlags) showProgress(cmd *cobra.Command, client *api.Client, off bool) (stop func()) {
	p := newProgress(cmd.ErrOrStderr())
	if off || !w.wait || p.w == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(4 * pollInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if s, err := client.Status(ctx); err == nil {
					p.show("waiting: " + waitingFor(s))
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
		p.clear()
	}
}

// outcome says what is pending, if anything is.
func (w *waitFlags) outcome(cmd *cobra.Command, done *api.Written) error {
	if done.Applied == nil || *done.Applied {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "it is written, but the switches did not confirm all of it within %v:\n", w.timeout)
	for _, p := range done.Pending {
		if p.Router != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "  router %s: %s\n", p.Router, p.Reason)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", p.Reason)
		}
	}
	return errReported
}

// reported prints err, which may be many lines.
func reported(cmd *cobra.Command, err error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	return errReported
}

// printOutcomes prints what became of objects, and how many did not change.
func printOutcomes(w io.Writer, objects []api.Outcome) {
	unchanged := 0
	for _, o := range objects {
		if o.Op == "unchanged" {
			unchanged++
			continue
		}
		fmt.Fprintf(w, "%s/%s %s\n", o.Kind, o.ID, o.Op)
	}
	if unchanged > 0 {
		fmt.Fprintf(w, "%s unchanged\n", count(unchanged, "object"))
	}
}

// inputs are topology files as one topology.
type inputs struct {
	files []input
	model routing.Model
}

type input struct {
	name  string
	data  []byte
	first [3]int // indices in the whole topology of its first network, router and port
}

// readFiles reads topology files. What the objects refer to may be elsewhere, so
// only their form is checked here.
func readFiles(names []string, stdin io.Reader) (*inputs, error) {
	in := new(inputs)
	var errs []error
	for _, name := range names {
		if name == "-" {
			data, err := io.ReadAll(stdin)
			errs = append(errs, err, in.add("standard input", data))
			continue
		}
		all, err := topologyFiles(name)
		errs = append(errs, err)
		for _, name := range all {
			data, err := os.ReadFile(name)
			if err == nil {
				err = in.add(name, data)
			}
			errs = append(errs, err)
		}
	}
	return in, errors.Join(errs...)
}

// topologyFiles returns the topology files in a directory, by name, or name
// itself.
func topologyFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, nil // whatever is wrong shows when it is read
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("look for topology files: %w", err)
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); slices.Contains([]string{".yaml", ".yml", ".json"}, ext) && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if files == nil {
		return nil, fmt.Errorf("there is no *.yaml, *.yml or *.json in directory %s", name)
	}
	return files, nil
}

func (in *inputs) add(name string, data []byte) error {
	m, _, err := intent.ParseFor(name, data, func(*routing.Model) error { return nil })
	if err != nil {
		return err
	}
	all := &in.model
	in.files = append(in.files, input{name, data, [3]int{len(all.Networks), len(all.Routers), len(all.Ports)}})
	all.Networks = append(all.Networks, m.Networks...)
	all.Routers = append(all.Routers, m.Routers...)
	all.Ports = append(all.Ports, m.Ports...)
	return nil
}

// body returns the body of a request that puts everything: a topology if there
// is nothing else, otherwise a batch.
func (in *inputs) body(all bool) []byte {
	var b strings.Builder
	if !all {
		b.WriteString(`{"put":`)
	}
	intent.WriteJSON(&b, &in.model) // into memory, where nothing can fail
	if !all {
		b.WriteString("}")
	}
	return []byte(b.String())
}

// deletion returns the body of a request that deletes everything.
func (in *inputs) deletion() []byte {
	m := &in.model
	var ids intent.IDs
	for i := range m.Networks {
		ids.Networks = append(ids.Networks, m.Networks[i].ID)
	}
	for i := range m.Routers {
		ids.Routers = append(ids.Routers, m.Routers[i].ID)
	}
	for i := range m.Ports {
		ids.Ports = append(ids.Ports, m.Ports[i].ID)
	}
	body, _ := json.Marshal(intent.BatchBody{Delete: &ids}) // of strings, which is always possible
	return body
}

// part returns which file a pointer into the body is about, and the path in it.
func (in *inputs) part(pointer string) (file int, path string) {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(parts) > 0 && parts[0] == "put" {
		parts = parts[1:]
	}
	if len(parts) < 2 {
		return -1, ""
	}
	kind := slices.Index([]string{"networks", "routers", "ports"}, parts[0])
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

// located returns err with the mistakes that the daemon found at their places in
// the files.
func (in *inputs) located(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || len(p.Errors) == 0 {
		return err
	}
	byFile := make(map[int][]error)
	var errs []error
	for _, m := range p.Errors {
		if i, path := in.part(m.Pointer); i >= 0 {
			byFile[i] = append(byFile[i], &routing.PathError{Path: path, Err: errors.New(m.Detail)})
		} else {
			errs = append(errs, fmt.Errorf("%s: %s", m.Pointer, m.Detail))
		}
	}
	for i, f := range in.files {
		_, _, err := intent.ParseFor(f.name, f.data, func(*routing.Model) error { return errors.Join(byFile[i]...) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// locate returns the place of a pointer into the body.
func (in *inputs) locate(pointer string) string {
	i, path := in.part(pointer)
	if i < 0 {
		return pointer
	}
	_, _, err := intent.ParseFor(in.files[i].name, in.files[i].data, func(*routing.Model) error {
		return &routing.PathError{Path: path, Err: errors.New("here")}
	})
	if e, ok := errors.AsType[*intent.Error](err); ok {
		return e.Place.String()
	}
	return in.files[i].name + ": " + path
}
