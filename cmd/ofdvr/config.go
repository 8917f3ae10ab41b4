package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// check returns the name of the first flag with a wrong value, and the error; "" if all are right.
func (o *serveOptions) check() (flag string, err error) {
	for _, c := range []struct {
		flag  string
		check func() error
	}{
		{"openflow", func() error {
			if len(o.openflow) == 0 {
				return fmt.Errorf("no endpoint is given, and no switch could connect: want one such as %s", defaultOpenFlow)
			}
			return checkAll(o.openflow, controller.CheckEndpoint)
		}},
		{"ovsdb", func() error {
			if o.ovsdb == "" {
				return nil
			}
			return ovsdb.CheckEndpoint(o.ovsdb)
		}},
		{"integration-bridge", func() error {
			if o.bridge == "" || len(o.bridge) > maxInterfaceName || strings.ContainsAny(o.bridge, "/ ") {
				return fmt.Errorf("%q: want the name of a bridge, of 1 to %d characters", o.bridge, maxInterfaceName)
			}
			return nil
		}},
		{"metrics", func() error {
			if o.metrics == "" {
				return nil
			}
			_, port, err := net.SplitHostPort(o.metrics)
			if err == nil {
				_, err = net.LookupPort("tcp", port)
			}
			if err != nil {
				return fmt.Errorf("%q: want ADDRESS:PORT, such as %s, or \"\" for none", o.metrics, defaultMetrics)
			}
			return nil
		}},
		{"api", func() error {
			return checkAll(o.api, func(e string) error { return api.Endpoint(e).Check() })
		}},
		{"max-answer", func() error { return atLeastOne(o.maxAnswer, "bytes") }},
		{"max-unsolicited", func() error { return atLeastOne(o.maxUnsolicited, "messages a second") }},
		{"max-unidentified", func() error { return atLeastOne(o.maxUnidentified, "connections") }},
		{"audit-interval", func() error {
			if o.auditInterval <= 0 {
				return fmt.Errorf("%v: want a time of more than 0s", o.auditInterval)
			}
			return nil
		}},
		{"run-dir", func() error {
			if o.runDir == "" {
				return errors.New("want a directory")
			}
			return nil
		}},
		{"log-level, --log-format", func() error {
			_, err := logging.New(o.logLevel, o.logFormat)
			return err
		}},
	} {
		if err := c.check(); err != nil {
			return c.flag, err
		}
	}
	return "", nil
}

// maxInterfaceName is the maximum length of the name of a network interface.
const maxInterfaceName = unix.IFNAMSIZ - 1

func checkAll(values []string, check func(string) error) error {
	for _, v := range values {
		if err := check(v); err != nil {
			return err
		}
	}
	return nil
}

func atLeastOne(n int, what string) error {
	if n < 1 {
		return fmt.Errorf("%d: want a number of %s from 1", n, what)
	}
	return nil
}

// load checks the flags on the command line, sets others from the configuration file called name,
// and checks these. A name of "" means that there is no file.
func (o *serveOptions) load(ctx context.Context, name string, flags *pflag.FlagSet) error {
	if flag, err := o.check(); err != nil {
		return misuse("--%s: %v", flag, err)
	}
	if name != "" {
		if err := readConfig(ctx, name, flags); err != nil {
			return err
		}
		if flag, err := o.check(); err != nil {
			return misuse("%s: %s: %v", name, strings.ReplaceAll(flag, "--", ""), err)
		}
	}
	if err := o.etcd.check(); err != nil {
		return err
	}
	_, _, err := o.tunnel.tunnel(len(o.etcd.endpoints) > 0)
	return err
}

// readConfig sets flags from the keys of the YAML file called name. Flags on the command line
// take precedence. The error lists every mistake in the file with its position.
func readConfig(ctx context.Context, name string, flags *pflag.FlagSet) error {
	data, err := readFile(ctx, name)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return misuse("%s: %v", name, err)
	}
	var errs []error
	for _, doc := range file.Docs {
		var values []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case nil:
		case *ast.MappingNode:
			values = body.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{body}
		default:
			pos := body.GetToken().Position
			errs = append(errs, fmt.Errorf("%s:%d:%d: want a mapping of keys and values", name, pos.Line, pos.Column))
		}
		for _, v := range values {
			if err := setFlag(flags, v); err != nil {
				pos := v.Key.GetToken().Position
				errs = append(errs, fmt.Errorf("%s:%d:%d: %w", name, pos.Line, pos.Column, err))
			}
		}
	}
	if errs != nil {
		return usageError(errors.Join(errs...).Error())
	}
	return nil
}

func setFlag(flags *pflag.FlagSet, v *ast.MappingValueNode) error {
	key := v.Key.GetToken().Value
	flag := flags.Lookup(key)
	if flag == nil || key == "config" || key == "help" {
		return fmt.Errorf("%s: unknown key; 'ofdvr serve --help' lists the flags, which are the keys", key)
	}
	nodes := []ast.Node{v.Value}
	if list, ok := v.Value.(*ast.SequenceNode); ok && strings.HasSuffix(flag.Value.Type(), "Slice") {
		nodes = list.Values
	}
	var values []string
	for _, n := range nodes {
		if _, ok := n.(ast.ScalarNode); !ok {
			return fmt.Errorf("%s: want a single value", key)
		}
		if _, null := n.(*ast.NullNode); null {
			values = append(values, "")
			continue
		}
		values = append(values, n.GetToken().Value)
	}
	if flag.Changed {
		return nil
	}
	value := strings.Join(values, ",")
	if err := flag.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %q: %s", key, value, wantedValue(flag, err))
	}
	return nil
}
