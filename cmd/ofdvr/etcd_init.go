package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/routing"
)

func newEtcd() *cobra.Command {
	o := new(etcdOptions)
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Prepare, import, export or check the intent in etcd",
		Long: `These commands work on the intent in etcd (serve --etcd). They need no daemon.
With authentication, etcd knows a client by the common name of its certificate:
init needs the certificate of root, import that of a writer, and export and
check that of any user.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.flags(cmd.PersistentFlags(), "")
	cmd.AddCommand(newEtcdInit(o), newEtcdImport(o), newEtcdExport(o), newEtcdCheck(o))
	return cmd
}

func newEtcdInit(o *etcdOptions) *cobra.Command {
	var f etcd.Fleet
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare etcd: keys, roles, and a user for each host",
		Long: `Init prepares etcd for hosts that share their intent. It prints each change, and
then what each host needs. It can be repeated, for example with a new host.

A host's user in etcd has the name of the host and no password: etcd knows the
host by the common name of its certificate. The user may read the whole prefix,
and write only the host's own keys. The API of a host refuses writes of intent,
unless the host is one of --writers. A writer that is not a host is for
commands with --etcd.

Etcd checks users and roles only if authentication is enabled. --enable-auth
enables it for the whole of etcd: then clients without a user lose access, and
only the user root may administer etcd. It is refused if this command's
certificate is not that of root, or if etcd does not ask its clients for
certificates.`,
		Example: `  ofdvr etcd init --etcd https://e1:2379 --etcd-ca-cert ca.pem \
    --etcd-certificate root.pem --etcd-private-key root.key \
    --hosts h1,h2,h3 --writers h1,admin --enable-auth`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range f.Remove {
				if slices.Contains(f.Hosts, name) || slices.Contains(f.Writers, name) {
					return misuse("--remove: %s is also one of --hosts or --writers", name)
				}
			}
			s, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			steps, authenticates, err := s.Setup(cmd.Context(), f)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for i, step := range steps {
				if dryRun {
					fmt.Fprintf(out, "would %s\n", step.Text)
					continue
				}
				if err := step.Run(cmd.Context()); err != nil {
					return fmt.Errorf("%w; %d of %s are done. Run the same command again to go on", err, i, count(len(steps), "step"))
				}
				fmt.Fprintln(out, step.Text)
			}
			if len(steps) == 0 {
				fmt.Fprintf(out, "%s: nothing to change\n", s.Name())
			}
			o.explain(out, f, authenticates || f.EnableAuth)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.Hosts, "hosts", nil, "`ID,...` of hosts that get a user")
	fl.StringSliceVar(&f.Writers, "writers", nil, "`NAME,...` of users that may write the intent: hosts whose API accepts writes, and users of commands with --etcd")
	fl.StringSliceVar(&f.Remove, "remove", nil, "`NAME,...` of users that lose access to this prefix")
	fl.BoolVar(&f.EnableAuth, "enable-auth", false, "enable authentication in etcd")
	fl.BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would change")
	return cmd
}

// explain prints what hosts and writers need.
func (o *etcdOptions) explain(w io.Writer, f etcd.Fleet, authenticates bool) {
	if !authenticates {
		fmt.Fprint(w, "\nwarning: authentication is not enabled in etcd, so every client of etcd may read and write everything.\n"+
			"To enable it, run this command again with --enable-auth and the certificate of root.\n")
	}
	if len(f.Hosts) > 0 {
		fmt.Fprint(w, "\nEach host needs a certificate whose common name is the host's ID. It is signed by the CA of etcd's --trusted-ca-file.\n")
	}
	for _, h := range f.Hosts {
		may := "its API accepts writes of intent"
		if !slices.Contains(f.Writers, h) {
			may = "unless made a writer before, its API refuses writes of intent"
		}
		fmt.Fprintf(w, "\nOn %s (%s):\n  %s\n", h, may, o.command("serve --host "+routing.Argument(h), h))
	}
	for _, name := range f.Writers {
		if !slices.Contains(f.Hosts, name) {
			fmt.Fprintf(w, "\nAs %s:\n  %s\n", name, o.command("etcd import topology.yaml", name))
		}
	}
}

// command returns a command line with the flags about etcd, for a user.
func (o *etcdOptions) command(words, user string) string {
	parts := []string{"ofdvr", words, "--etcd", strings.Join(o.endpoints, ",")}
	if o.prefix != etcd.DefaultPrefix {
		parts = append(parts, "--etcd-prefix", o.prefix)
	}
	if strings.HasPrefix(o.endpoints[0], "https:") {
		parts = append(parts, "--etcd-ca-cert", cmp.Or(o.tls.CACert, "CA.pem"), "--etcd-certificate", routing.Argument(user+".pem"), "--etcd-private-key", routing.Argument(user+".key"))
	}
	return strings.Join(parts, " ")
}
