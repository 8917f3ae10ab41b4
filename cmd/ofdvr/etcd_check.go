package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newEtcdCheck(o *etcdOptions) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for keys in etcd that are wrong",
		Long: `Check reads all keys below the prefix at one revision, and reports:

- values that cannot be read, or are too large
- keys that ofdvr does not have
- objects that have two keys, or contradict each other
- objects that refer to missing objects
- a wrong index of owners (own/): it says which object has an ID, a MAC address
  or an IP address, so that no two objects get the same

It exits with 1 if it finds something. It changes nothing, unless --repair is
given: this corrects the index of owners, if the keys have not changed since.
An object that cannot be read keeps its ID and addresses only in this index.
Correct or delete such objects first.`,
		Example: "  ofdvr etcd check --etcd http://127.0.0.1:2379",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			p := newProgress(cmd.ErrOrStderr())
			r, err := s.Check(cmd.Context(), func(keys int) { p.show(fmt.Sprintf("reading etcd: %s", count(keys, "key"))) })
			p.clear()
			if err != nil {
				return err
			}
			out, left := cmd.OutOrStdout(), r.More
			for i := range r.Findings {
				f := &r.Findings[i]
				if !repair || !f.Repairable() {
					fmt.Fprintln(cmd.ErrOrStderr(), f)
					left++
					continue
				}
				switch done, err := s.Repair(cmd.Context(), f); {
				case err != nil:
					return fmt.Errorf("%w; the repairs above are done", err)
				case !done:
					fmt.Fprintf(cmd.ErrOrStderr(), "%v (not repaired, because it has changed: run the check again)\n", f)
					left++
				default:
					fmt.Fprintf(out, "repaired: %v\n", f)
				}
			}
			if r.More > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", r.More)
			}
			if left > 0 {
				return errReported
			}
			whole := ""
			if !r.Complete {
				whole = ", not complete: hosts remove nothing"
			}
			fmt.Fprintf(out, "%s: ok: revision %d, %s, %s%s\n", s.Name(), r.Revision, count(r.Keys, "key"), counts(r.Hosts, r.Networks, r.Routers, r.Ports), whole)
			return nil
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "correct the index of owners")
	return cmd
}
